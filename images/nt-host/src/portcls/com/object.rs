//! The objects that PortCls hands to drivers: vtables, interlocked reference counts, and the watch over them.
//!
//! An [`Object`] begins with its vtable, as the component object model demands, so its address is the interface
//! pointer. Each class has a vtable of its own, so a driver that mixes two interfaces up calls the wrong method at once
//! and not by luck the right one. An object whose last reference is released leaves a tombstone behind: a driver that
//! still calls it learns which object that was.

#![allow(unsafe_code, reason = "drivers call objects through vtables, by address")]

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::guids::{self, GUID};
use super::slots::Foreign;
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, fatal};
use crate::contract::watch;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::kernel::irql;
use crate::portcls::kernel::lock::Lock;

/// One entry of a vtable.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Slot(pub(crate) *const ());

// SAFETY: the address of code; nothing is written through it.
unsafe impl Sync for Slot {}

/// How many tombstones are kept before the oldest one's memory is used again.
const TOMBSTONES_MAX: usize = 4096;

/// The longest vtable of PortCls, and so of a tombstone: that of `IDmaChannelSlave`.
const TOMBSTONE_SLOTS: usize = 19;

/// What an object of PortCls is.
pub(crate) trait Class: Sized + 'static {
    /// The interface's name, for messages.
    const NAME: &'static str;

    /// The rule that is broken by a call after the last reference was released.
    const USED_AFTER_RELEASE: &'static Rule = rules::REFERENCE_COUNTS;

    /// The interfaces that the object answers by its own address, `IUnknown` aside.
    const INTERFACES: &'static [GUID];

    /// Returns the vtable: `IUnknown` first ([`unknown`]).
    fn vtable() -> &'static [Slot];

    /// Returns the address of an interface that has one of its own.
    fn other_interface(_object: &Object<Self>, _interface: &GUID) -> Option<PVOID> {
        None
    }

    /// Runs when the last reference is gone, before the value is dropped.
    fn released(_object: &Object<Self>) {}
}

/// What every object begins with.
#[repr(C)]
struct Header {
    vtable: AtomicPtr<Slot>,
    name: &'static str,
    used_after_release: &'static Rule,
    /// Of a service group whose last reference the port released: the rule that demands one for the port.
    given_up: AtomicPtr<Rule>,
    references: AtomicU32,
}

/// An object as drivers see it.
#[repr(C)]
pub(crate) struct Object<T: Class> {
    header: Header,
    value: ManuallyDrop<T>,
}

impl<T: Class> Object<T> {
    /// Returns the interface pointer.
    pub(crate) fn address(&self) -> PVOID {
        core::ptr::from_ref(self).cast_mut().cast()
    }
}

impl<T: Class> Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Returns the object that a method was called on.
///
/// # Safety
/// `this` is a live object of the class, and the caller of the method holds a reference.
pub(crate) unsafe fn object<'a, T: Class>(this: *mut Object<T>) -> &'a Object<T> {
    // SAFETY: by the caller.
    unsafe { &*this }
}

/// Returns the three methods of `IUnknown` for a class, to begin its vtable with.
pub(crate) const fn unknown<T: Class>() -> [Slot; 3] {
    [Slot(query_interface::<T> as *const ()), Slot(add_ref::<T> as *const ()), Slot(release::<T> as *const ())]
}

/// A reference of PortCls' own to one of its objects.
pub(crate) struct Com<T: Class>(*const Object<T>);

// SAFETY: the count is atomic, and what the value needs for sharing it says by its own types' locks.
unsafe impl<T: Class> Send for Com<T> {}
// SAFETY: as above.
unsafe impl<T: Class> Sync for Com<T> {}

impl<T: Class> Com<T> {
    /// Makes a new object with one reference.
    pub(crate) fn new(value: T) -> Self {
        Self::with_vtable(value, T::NAME, T::vtable())
    }

    /// Makes a new object with one reference, of a class whose objects have vtables of several interfaces: `name` is
    /// that of this one's.
    pub(crate) fn with_vtable(value: T, name: &'static str, vtable: &'static [Slot]) -> Self {
        let object = Box::into_raw(Box::new(Object {
            header: Header {
                vtable: AtomicPtr::new(vtable.as_ptr().cast_mut()),
                name,
                used_after_release: T::USED_AFTER_RELEASE,
                given_up: AtomicPtr::new(core::ptr::null_mut()),
                references: AtomicU32::new(1),
            },
            value: ManuallyDrop::new(value),
        }));
        LIVE.with(|live| {
            live.push(Live { address: object as usize, bytes: size_of::<Object<T>>(), class: T::NAME, name });
        });
        Self(object)
    }

    /// Returns the interface pointer, borrowed: it is good as long as a reference is held.
    pub(crate) fn as_raw(&self) -> PVOID {
        self.0.cast_mut().cast()
    }

    /// Returns the interface pointer with this reference, for a driver that takes it over.
    pub(crate) fn into_raw(self) -> PVOID {
        ManuallyDrop::new(self).as_raw()
    }

    /// Returns a reference more, from an interface pointer that a driver passed.
    ///
    /// # Safety
    /// `pointer` is null or was made by [`Com`] of this very class.
    pub(crate) unsafe fn from_borrowed(pointer: PVOID) -> Option<Self> {
        // Unwatched, a pointer is what the driver says that it is.
        let known = if watch::is_on() { is_live(pointer, T::NAME) } else { !pointer.is_null() };
        if !known {
            return None;
        }
        let object = pointer.cast_const().cast::<Object<T>>();
        // SAFETY: it is live and of this class.
        unsafe { &*object }.header.references.fetch_add(1, Ordering::Relaxed);
        Some(Self(object))
    }

    /// Returns how many references there are, this one included.
    pub(crate) fn references(&self) -> u32 {
        self.header().references.load(Ordering::Acquire)
    }

    fn header(&self) -> &Header {
        // SAFETY: this reference keeps the object alive.
        unsafe { &(*self.0).header }
    }
}

impl<T: Class> Clone for Com<T> {
    fn clone(&self) -> Self {
        self.header().references.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl<T: Class> Drop for Com<T> {
    fn drop(&mut self) {
        // SAFETY: this reference is given up here and nowhere else.
        unsafe { release::<T>(self.0.cast_mut()) };
    }
}

impl<T: Class> Deref for Com<T> {
    type Target = Object<T>;

    fn deref(&self) -> &Object<T> {
        // SAFETY: this reference keeps the object alive.
        unsafe { &*self.0 }
    }
}

/// Answers `QueryInterface`, slot 0.
unsafe extern "win64" fn query_interface<T: Class>(
    this: *mut Object<T>,
    interface: *const GUID,
    out: *mut PVOID,
) -> NTSTATUS {
    irql::at_most(DISPATCH_LEVEL, T::NAME, "QueryInterface");
    if interface.is_null() || out.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller holds a reference, and both pointers are good by the contract of QueryInterface.
    unsafe {
        let object = &*this;
        let interface = interface.read_unaligned();
        let found = if guids::is_unknown(&interface) || T::INTERFACES.contains(&interface) {
            Some(object.address())
        } else {
            T::other_interface(object, &interface)
        };
        let Some(pointer) = found else {
            out.write(core::ptr::null_mut());
            return STATUS_INVALID_PARAMETER;
        };
        object.header.references.fetch_add(1, Ordering::Relaxed);
        out.write(pointer);
    }
    STATUS_SUCCESS
}

/// Adds a reference, slot 1. At any IRQL: an interrupt service routine may hold a service group.
unsafe extern "win64" fn add_ref<T: Class>(this: *mut Object<T>) -> u32 {
    // SAFETY: the caller holds a reference.
    let header = unsafe { &(*this).header };
    header.references.fetch_add(1, Ordering::Relaxed) + 1
}

/// Releases a reference, slot 2.
unsafe extern "win64" fn release<T: Class>(this: *mut Object<T>) -> u32 {
    // SAFETY: the caller holds a reference, which it gives up.
    let header = unsafe { &(*this).header };
    let before = header.references.fetch_sub(1, Ordering::AcqRel);
    if before == 1 {
        irql::at_most(DISPATCH_LEVEL, T::NAME, "the last Release");
        // SAFETY: that was the last reference, so the value is ours alone.
        unsafe { bury(this) };
    }
    before.wrapping_sub(1)
}

/// Drops an object's value and leaves a tombstone.
unsafe fn bury<T: Class>(this: *mut Object<T>) {
    // SAFETY: by the caller the object is ours alone; the value is dropped once.
    unsafe {
        T::released(object(this));
        LIVE.with(|live| live.retain(|entry| entry.address != this as usize));
        ManuallyDrop::drop(&mut (*this).value);
        (*this).header.vtable.store(TOMBSTONE.as_ptr().cast_mut(), Ordering::Release);
    }
    let oldest = GRAVES.with(|graves| {
        graves.push_back((this as usize, Layout::new::<Object<T>>()));
        if graves.len() > TOMBSTONES_MAX || !watch::is_on() { graves.pop_front() } else { None }
    });
    if let Some((address, layout)) = oldest {
        // SAFETY: it came from a box of this layout, its value is dropped, and no pointer to it is left.
        unsafe { alloc::alloc::dealloc(address as *mut u8, layout) };
    }
}

/// A second interface of an object, at an address of its own. It is in the object's value.
#[repr(C)]
pub(crate) struct Facet<T: Class> {
    vtable: AtomicPtr<Slot>,
    owner: AtomicPtr<Object<T>>,
}

impl<T: Class> Facet<T> {
    /// Makes a facet with this vtable, to be [bound](Self::bind) when its object has an address.
    pub(crate) const fn new(vtable: &'static [Slot]) -> Self {
        Self { vtable: AtomicPtr::new(vtable.as_ptr().cast_mut()), owner: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Binds the facet to its object.
    pub(crate) fn bind(&self, owner: &Com<T>) {
        self.owner.store(owner.0.cast_mut(), Ordering::Release);
    }

    /// Returns the interface pointer.
    pub(crate) fn address(&self) -> PVOID {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// Returns the interface pointer of a facet's object.
    ///
    /// # Safety
    /// The caller holds a reference to the facet.
    pub(crate) unsafe fn owner(this: *mut Self) -> PVOID {
        // SAFETY: by the caller.
        unsafe { (*this).owner.load(Ordering::Acquire) }.cast()
    }
}

/// Returns the three methods of `IUnknown` for a facet, which are its object's.
pub(crate) const fn facet_unknown<T: Class>() -> [Slot; 3] {
    [
        Slot(facet_query_interface::<T> as *const ()),
        Slot(facet_add_ref::<T> as *const ()),
        Slot(facet_release::<T> as *const ()),
    ]
}

unsafe extern "win64" fn facet_query_interface<T: Class>(
    this: *mut Facet<T>,
    interface: *const GUID,
    out: *mut PVOID,
) -> NTSTATUS {
    // SAFETY: the caller holds a reference to the facet, which is one to its object.
    unsafe { query_interface::<T>((*this).owner.load(Ordering::Acquire), interface, out) }
}

unsafe extern "win64" fn facet_add_ref<T: Class>(this: *mut Facet<T>) -> u32 {
    // SAFETY: as above.
    unsafe { add_ref::<T>((*this).owner.load(Ordering::Acquire)) }
}

unsafe extern "win64" fn facet_release<T: Class>(this: *mut Facet<T>) -> u32 {
    // SAFETY: as above.
    unsafe { release::<T>((*this).owner.load(Ordering::Acquire)) }
}

/// What a released object does with every call.
static TOMBSTONE: [Slot; TOMBSTONE_SLOTS] = [Slot(tombstone as *const ()); TOMBSTONE_SLOTS];

unsafe extern "win64" fn tombstone(this: *mut c_void) -> usize {
    // SAFETY: only objects that were buried here carry this vtable, and their header is still readable.
    let (name, rule) = unsafe { ((*this.cast::<Header>()).name, (*this.cast::<Header>()).used_after_release) };
    // SAFETY: as above; a rule lives for ever.
    if let Some(rule) = unsafe { (*this.cast::<Header>()).given_up.load(Ordering::Acquire).as_ref() } {
        fatal(
            name,
            Violation::new(
                rule,
                "the service group is gone: the port has released the reference that Init put out, and there was none",
                "AddRef the service group that the miniport's Init puts out; the port releases it",
            ),
        )
    }
    fatal(
        name,
        Violation::new(
            rule,
            format!("the {name} at {this:p} is called after its last reference was released"),
            "AddRef what is kept beyond the call that brought it; clear the pointer with the Release",
        ),
    )
}

/// Releases the reference to a service group that a miniport's `Init` put out, of which `rule` demands that it is one.
pub(crate) fn release_group(group: Foreign, rule: &'static Rule) {
    let address = group.as_raw();
    // A group of the driver's own making has no tombstone, nor has any when nothing is watched.
    let own = watch::is_on() && is_live(address, "IServiceGroup");
    if group.release() == 0 && own {
        // SAFETY: an object of this module's, whose header stays readable when it is buried.
        unsafe { &(*address.cast::<Header>()).given_up }.store(core::ptr::from_ref(rule).cast_mut(), Ordering::Release);
    }
}

/// An object with references.
struct Live {
    address: usize,
    bytes: usize,
    class: &'static str,
    name: &'static str,
}

/// All objects with references.
static LIVE: Lock<Vec<Live>> = Lock::new(Vec::new());

/// What is left of objects without references.
static GRAVES: Lock<VecDeque<(usize, Layout)>> = Lock::new(VecDeque::new());

/// Returns whether this is a live object of this class.
fn is_live(pointer: PVOID, class: &str) -> bool {
    LIVE.with(|live| live.iter().any(|entry| entry.address == pointer as usize && entry.class == class))
}

/// Returns whether this is an interface pointer of an object of PortCls' with references, a facet's included. At most at
/// `DISPATCH_LEVEL`.
pub(crate) fn is_own(pointer: PVOID) -> bool {
    LIVE.with(|live| live.iter().any(|entry| (pointer as usize).wrapping_sub(entry.address) < entry.bytes))
}

/// Returns the objects that have references: interface, address, references.
pub(crate) fn live() -> Vec<(&'static str, u64, u32)> {
    LIVE.with(|live| {
        let of = |entry: &Live| {
            // SAFETY: it is live, and every object begins with a header.
            let references = unsafe { (*(entry.address as *const Header)).references.load(Ordering::Relaxed) };
            (entry.name, entry.address as u64, references)
        };
        live.iter().map(of).collect()
    })
}

/// Returns the objects that drivers still hold, with their reference counts, for the report at unload.
pub(crate) fn leftovers() -> Vec<String> {
    let text = |(name, address, references)| format!("{name} at {address:#x} with {references} references");
    live().into_iter().map(text).collect()
}
