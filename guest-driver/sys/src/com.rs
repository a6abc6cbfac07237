//! COM objects of the driver, and counted references to those of PortCls.
//!
//! The main interfaces of an object share one virtual table, so that `QueryInterface` returns the same pointer for each
//! of them, and equal pointers mean the same object. Further interfaces have tables of their own, whose pointers are
//! behind the first one: their functions get a pointer to that place.
#![allow(unsafe_code, reason = "COM is virtual tables and counted pointers")]

use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, Ordering, fence};

use dmus_miniport::irql::Passive;
use portcls::guid::{COM_IID_IUnknown, IID_IUnknown};
use portcls::interface::{IUnknown, IUnknownTable};
use portcls::{Guid, NtStatus};

use crate::pool::try_box;

/// Calls a method of a foreign object: `call!(object, base.method, arguments)`.
macro_rules! call {
    ($object:expr, $($slot:ident).+ $(, $argument:expr)* $(,)?) => {{
        let object = $object;
        ((*(*object).table).$($slot).+)(object.cast() $(, $argument)*)
    }};
}
pub(crate) use call;

/// The class of a COM object: its state and its virtual tables.
pub(crate) trait Class: Sized + 'static {
    /// Its virtual table's type, which begins with [`IUnknownTable`].
    type Table: 'static;
    /// Its virtual table.
    const TABLE: &'static Self::Table;
    /// An array of pointers to its other tables, each of which begins with [`IUnknownTable`] too; `()` for none.
    type Others: Copy + 'static;
    /// Its other tables.
    const OTHERS: Self::Others;
    /// Returns whether the main table implements an interface other than `IUnknown`.
    fn has(&self, iid: &Guid) -> bool;
    /// Returns the place of the other table that implements an interface.
    fn place_of(_iid: &Guid) -> Option<usize> {
        None
    }
}

/// A pointer to one of an object's other tables.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct OtherTable(*const IUnknownTable);

impl OtherTable {
    /// Makes the pointer to an interface's table, which begins with [`IUnknownTable`].
    pub(crate) const fn of<T>(table: &'static T) -> Self {
        Self(ptr::from_ref(table).cast())
    }
}

/// A COM object.
#[repr(C)]
pub(crate) struct Object<C: Class> {
    table: &'static C::Table,
    others: C::Others,
    references: AtomicU32,
    pub(crate) class: C,
}

impl<C: Class> Object<C> {
    /// Makes an object with one reference. `None`: no memory.
    pub(crate) fn make(level: Passive, class: C) -> Option<Owned<C>> {
        let object = try_box(level, Self { table: C::TABLE, others: C::OTHERS, references: AtomicU32::new(1), class })?;
        Some(Owned(NonNull::from(Box::leak(object))))
    }

    /// Returns the object behind an interface pointer.
    ///
    /// # Safety
    /// `this` is a pointer to an object of this class to which the caller holds a reference during `'a`.
    pub(crate) unsafe fn of<'a>(this: *mut impl Sized) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { &*this.cast::<Self>() }
    }

    /// Returns the object behind a pointer to one of its other tables.
    ///
    /// # Safety
    /// As for [`of`](Self::of), with a pointer to the table at `PLACE`.
    pub(crate) unsafe fn of_other<'a, const PLACE: usize>(this: *mut impl Sized) -> &'a Self {
        // SAFETY: the tables are in the object, in order.
        unsafe { &*Self::from_other::<PLACE>(this.cast()) }
    }

    /// Returns the pointer to the object, from a pointer to one of its other tables.
    ///
    /// # Safety
    /// As for [`of_other`](Self::of_other).
    const unsafe fn from_other<const PLACE: usize>(this: *mut IUnknown) -> *mut Self {
        const { assert!((PLACE + 1) * size_of::<OtherTable>() <= size_of::<C::Others>()) };
        let offset = core::mem::offset_of!(Self, others) + PLACE * size_of::<OtherTable>();
        // SAFETY: the tables are in the object, in order.
        unsafe { this.byte_sub(offset) }.cast()
    }

    /// Adds a reference for the driver.
    pub(crate) fn to_owned(&self) -> Owned<C> {
        self.references.fetch_add(1, Ordering::Relaxed);
        Owned(NonNull::from(self))
    }
}

/// Makes the three slots that every table begins with.
pub(crate) const fn unknown<C: Class>() -> IUnknownTable {
    IUnknownTable { query_interface: query_interface::<C>, add_ref: add_ref::<C>, release: release::<C> }
}

/// Makes the three slots that the other table at `PLACE` begins with.
pub(crate) const fn unknown_of_other<C: Class, const PLACE: usize>() -> IUnknownTable {
    IUnknownTable {
        query_interface: query_interface_of_other::<C, PLACE>,
        add_ref: add_ref_of_other::<C, PLACE>,
        release: release_of_other::<C, PLACE>,
    }
}

unsafe extern "system" fn query_interface_of_other<C: Class, const PLACE: usize>(
    this: *mut IUnknown,
    iid: *const Guid,
    out: *mut *mut c_void,
) -> NtStatus {
    // SAFETY: called through that table of an object of this class.
    let object = unsafe { Object::<C>::from_other::<PLACE>(this) };
    // SAFETY: the same call on the object itself.
    unsafe { query_interface::<C>(object.cast(), iid, out) }
}

unsafe extern "system" fn add_ref_of_other<C: Class, const PLACE: usize>(this: *mut IUnknown) -> u32 {
    // SAFETY: called through that table of an object of this class.
    let object = unsafe { Object::<C>::of_other::<PLACE>(this) };
    object.references.fetch_add(1, Ordering::Relaxed) + 1
}

unsafe extern "system" fn release_of_other<C: Class, const PLACE: usize>(this: *mut IUnknown) -> u32 {
    // SAFETY: called through that table of an object of this class, by the owner of a reference.
    unsafe { release_object(Object::<C>::from_other::<PLACE>(this)) }
}

unsafe extern "system" fn query_interface<C: Class>(
    this: *mut IUnknown,
    iid: *const Guid,
    out: *mut *mut c_void,
) -> NtStatus {
    if out.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: the caller gives a place for a pointer.
    unsafe { out.write(core::ptr::null_mut()) };
    // SAFETY: called through the table of an object of this class.
    let object = unsafe { Object::<C>::of(this) };
    // SAFETY: the caller gives an id, or null.
    let Some(iid) = (unsafe { iid.as_ref() }) else { return NtStatus::INVALID_PARAMETER };
    let interface: *const c_void = if [IID_IUnknown, COM_IID_IUnknown].contains(iid) || object.class.has(iid) {
        core::ptr::from_ref(object).cast()
    } else if let Some(place) = C::place_of(iid) {
        (&raw const object.others).cast::<OtherTable>().wrapping_add(place).cast()
    } else {
        return NtStatus::INVALID_PARAMETER;
    };
    object.references.fetch_add(1, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { out.write(interface.cast_mut()) };
    NtStatus::SUCCESS
}

unsafe extern "system" fn add_ref<C: Class>(this: *mut IUnknown) -> u32 {
    // SAFETY: called through the table of an object of this class.
    let object = unsafe { Object::<C>::of(this) };
    object.references.fetch_add(1, Ordering::Relaxed) + 1
}

unsafe extern "system" fn release<C: Class>(this: *mut IUnknown) -> u32 {
    // SAFETY: called through the table of an object of this class, by the owner of a reference.
    unsafe { release_object(this.cast::<Object<C>>()) }
}

/// Releases a reference, and drops the object with the last one, at `PASSIVE_LEVEL`.
///
/// # Safety
/// The caller owns a reference, and does not use it afterwards.
unsafe fn release_object<C: Class>(object: *mut Object<C>) -> u32 {
    // SAFETY: the caller's reference keeps it.
    let left = unsafe { &(*object).references }.fetch_sub(1, Ordering::Release) - 1;
    if left == 0 {
        fence(Ordering::Acquire);
        // SAFETY: made by `Object::make`, and no reference is left.
        drop(unsafe { Box::from_raw(object) });
    }
    left
}

/// A counted reference to an object of the driver.
pub(crate) struct Owned<C: Class>(NonNull<Object<C>>);

impl<C: Class> Owned<C> {
    /// Returns the interface pointer, which is the same for all main interfaces.
    pub(crate) fn as_interface<I>(&self) -> *mut I {
        self.0.as_ptr().cast()
    }

    /// Returns the interface pointer, and leaves the reference to the caller.
    pub(crate) fn into_interface<I>(self) -> *mut I {
        let pointer = self.as_interface();
        core::mem::forget(self);
        pointer
    }
}

impl<C: Class> core::ops::Deref for Owned<C> {
    type Target = C;

    fn deref(&self) -> &C {
        // SAFETY: the reference keeps it.
        unsafe { &self.0.as_ref().class }
    }
}

impl<C: Class> Drop for Owned<C> {
    fn drop(&mut self) {
        // SAFETY: this is the reference, and it goes now.
        unsafe { release_object(self.0.as_ptr()) };
    }
}

/// A counted reference to an object of PortCls or of a client.
pub(crate) struct Foreign<I>(NonNull<I>);

impl<I> Foreign<I> {
    /// Takes over a reference that the caller owns. `None`: the pointer is null.
    ///
    /// # Safety
    /// `pointer` is null or an interface pointer whose reference the caller owns.
    pub(crate) unsafe fn take(pointer: *mut I) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// Adds a reference to an object. `None`: the pointer is null.
    ///
    /// # Safety
    /// `pointer` is null or an interface pointer that is valid during the call.
    pub(crate) unsafe fn add(pointer: *mut I) -> Option<Self> {
        let pointer = NonNull::new(pointer)?;
        let unknown = pointer.as_ptr().cast::<IUnknown>();
        // SAFETY: every interface begins with IUnknown's slots.
        unsafe { call!(unknown, add_ref) };
        Some(Self(pointer))
    }

    /// Returns the interface pointer.
    pub(crate) const fn as_ptr(&self) -> *mut I {
        self.0.as_ptr()
    }

    /// Adds a reference, and returns the pointer to hand out with it.
    pub(crate) fn handed_out(&self) -> *mut I {
        let unknown = self.as_ptr().cast::<IUnknown>();
        // SAFETY: the reference keeps it; every interface begins with IUnknown's slots.
        unsafe { call!(unknown, add_ref) };
        self.as_ptr()
    }
}

impl<I> Drop for Foreign<I> {
    fn drop(&mut self) {
        let unknown = self.as_ptr().cast::<IUnknown>();
        // SAFETY: this is the reference, and it goes now.
        unsafe { call!(unknown, release) };
    }
}
