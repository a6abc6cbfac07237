//! Ports: the port driver's object for one subdevice, bound to its miniport by `Init`. One class stands for all kinds,
//! each with its own vtable.

#![allow(unsafe_code, reason = "miniports are called by slot number, and call the port through its vtable")]

pub(crate) mod adapter;
pub(crate) mod bare_adapter;
mod helpers;
mod init;
mod interface;
pub(crate) mod interface_checks;
pub(crate) mod lifetime;
pub(crate) mod miniport_kind;
mod wave;

#[cfg(target_os = "none")]
pub(crate) use interface::EXPORTS;
#[cfg(target_os = "none")]
pub(crate) use lifetime::shut_down;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use self::bare_adapter::BareAdapter;
use self::helpers::{DRM_VTABLE, PNP_VTABLE, POWER_VTABLE, STREAM_RESOURCES_VTABLE};
use self::interface::{
    EVENTS_VTABLE, SINK_VTABLE, UNREGISTER_CONNECTION_VTABLE, UNREGISTER_SUBDEVICE_VTABLE, VERSION_VTABLE,
};
use self::lifetime::forget_list;
use self::miniport_kind::MiniportKind;
use crate::contract::violation::{Violation, fatal, violation};
use crate::contract::{rules, watch};
use crate::nt::PVOID;
use crate::nt::status::success;
use crate::portcls::com::abi::FilterDescriptor;
use crate::portcls::com::guids;
use crate::portcls::com::kind::Kind;
use crate::portcls::com::object::{Com, Facet};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::ks::answers::Instances;
use crate::portcls::ks::descriptor::{self, Filter};
use crate::portcls::services::resources::ResourceList;

/// Service groups that `Notify(NULL)` reaches: the miniport's own and one for each stream.
const GROUPS_MAX: usize = 33;

/// The place of the miniport's own group.
const MINIPORT_GROUP: usize = 0;

/// What a port knows from `Init` on.
struct Bound {
    /// Of a music port, which interface it speaks with its miniport.
    kind: Option<MiniportKind>,
    miniport: Arc<Foreign>,
    /// The pointer that `Init` was given: the major target of property requests.
    unknown: Arc<Foreign>,
    adapter: Option<Foreign>,
    /// What the miniport got for an adapter object in its place.
    bare_adapter: Option<Com<BareAdapter>>,
    resources: Option<Com<ResourceList>>,
    group: Option<Foreign>,
    filter: Arc<Filter>,
    descriptor: usize,
    fingerprint: u64,
    pin_count: Option<Arc<Foreign>>,
    instances: Vec<u32>,
    /// The streams that are open, by address: one object may serve two pins.
    streams: Vec<usize>,
}

impl Bound {
    /// Releases everything, the miniport last.
    fn release(self) {
        let Self { miniport, unknown, adapter, bare_adapter, resources, group, pin_count, .. } = self;
        if let Some(list) = &resources {
            forget_list(list);
        }
        drop((group, adapter, bare_adapter, resources, pin_count, unknown));
        drop(miniport);
    }
}

/// A port, and with addresses of their own its other interfaces and its service sink.
pub(crate) struct Port {
    kind: Kind,
    /// The device, from the beginning of `Init` on: miniports ask for its properties, keys and DMA channels there.
    fdo: AtomicUsize,
    version: Facet<Port>,
    events: Facet<Port>,
    unregister_subdevice: Facet<Port>,
    unregister_connection: Facet<Port>,
    drm: Facet<Port>,
    power: Facet<Port>,
    pnp: Facet<Port>,
    stream_resources: Facet<Port>,
    sink: Facet<Port>,
    /// In what the filter's wave streams count: a [`RenderUnit`].
    render_unit: AtomicU8,
    /// The subdevice was unregistered while streams were open: the last of them takes the miniport along.
    departing: AtomicBool,
    /// The kind of the miniport whose `Init` has been called.
    binding: Lock<Option<MiniportKind>>,
    bound: Lock<Option<Bound>>,
    registered: Lock<Option<Foreign>>,
    /// Sinks of open streams without a group of their own, which are served with the miniport's.
    sinks: Lock<Vec<Foreign>>,
    /// Read at any IRQL; a place is emptied before its group is released.
    groups: [AtomicPtr<c_void>; GROUPS_MAX],
}

/// In what wave streams count length and position of `Render`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RenderUnit {
    /// No stream has shown it.
    Unknown,
    /// In frames, as the page of IDirectMusicSynth::Render and the samples do.
    Frames,
    /// In bytes, as the page of ISynthSinkDMus::Render does.
    Bytes,
}

impl Port {
    /// Makes a port that is not bound.
    pub(crate) fn create(kind: Kind) -> Com<Self> {
        let value = Self {
            kind,
            fdo: AtomicUsize::new(0),
            version: Facet::new(&VERSION_VTABLE),
            events: Facet::new(&EVENTS_VTABLE),
            unregister_subdevice: Facet::new(&UNREGISTER_SUBDEVICE_VTABLE),
            unregister_connection: Facet::new(&UNREGISTER_CONNECTION_VTABLE),
            drm: Facet::new(&DRM_VTABLE),
            power: Facet::new(&POWER_VTABLE),
            pnp: Facet::new(&PNP_VTABLE),
            stream_resources: Facet::new(&STREAM_RESOURCES_VTABLE),
            sink: Facet::new(&SINK_VTABLE),
            render_unit: AtomicU8::new(RenderUnit::Unknown as u8),
            departing: AtomicBool::new(false),
            binding: Lock::new(None),
            bound: Lock::new(None),
            registered: Lock::new(None),
            sinks: Lock::new(Vec::new()),
            groups: [const { AtomicPtr::new(core::ptr::null_mut()) }; GROUPS_MAX],
        };
        let port = Com::with_vtable(value, kind.port_name(), interface::vtable(kind));
        for facet in [
            &port.version,
            &port.events,
            &port.unregister_subdevice,
            &port.unregister_connection,
            &port.drm,
            &port.power,
            &port.pnp,
            &port.stream_resources,
            &port.sink,
        ] {
            facet.bind(&port);
        }
        port
    }

    /// Returns in what the filter's wave streams count, as far as one has shown it.
    pub(crate) fn render_unit(&self) -> RenderUnit {
        match self.render_unit.load(Ordering::Relaxed) {
            unit if unit == RenderUnit::Frames as u8 => RenderUnit::Frames,
            unit if unit == RenderUnit::Bytes as u8 => RenderUnit::Bytes,
            _ => RenderUnit::Unknown,
        }
    }

    /// Remembers in what a wave stream of the filter counts.
    pub(crate) fn learn_render_unit(&self, unit: RenderUnit) {
        self.render_unit.store(unit as u8, Ordering::Relaxed);
    }

    /// Returns which kind of port this is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the device that `Init` was called for.
    fn device(&self) -> Option<PVOID> {
        let fdo = self.fdo.load(Ordering::Relaxed);
        (fdo != 0).then_some(fdo as PVOID)
    }

    /// Returns whether `Init` has succeeded.
    pub(crate) fn is_bound(&self) -> bool {
        self.bound.with(|bound| bound.is_some())
    }

    /// Returns what the filter is made of. `None` before `Init`.
    pub(crate) fn filter(&self) -> Option<Arc<Filter>> {
        self.with(|bound| Arc::clone(&bound.filter))
    }

    /// Returns which interface the miniport has. `None` before `Init`.
    pub(crate) fn miniport_kind(&self) -> Option<MiniportKind> {
        self.with(|bound| bound.kind)?
    }

    /// Serves a stream without a group of its own whenever the miniport's group is served.
    pub(crate) fn add_sink(&self, sink: Foreign) {
        self.sinks.with(|sinks| sinks.push(sink));
    }

    /// Takes a stream's sink out again. At `PASSIVE_LEVEL`: when this returns, it is not served.
    pub(crate) fn remove_sink(&self, sink: PVOID) {
        let removed = self.sinks.with(|sinks| {
            let index = sinks.iter().position(|served| served.as_raw() == sink)?;
            Some(sinks.swap_remove(index))
        });
        kernel::flush_dpcs();
        // Released without the lock.
        drop(removed);
    }

    /// Returns the miniport's own interface: `IMiniportDMus`, `IMiniportTopology` and so on.
    pub(crate) fn miniport(&self) -> Option<Arc<Foreign>> {
        self.with(|bound| Arc::clone(&bound.miniport))
    }

    /// Returns the pointer that `Init` was given for the miniport.
    pub(crate) fn major_target(&self) -> Option<Arc<Foreign>> {
        self.with(|bound| Arc::clone(&bound.unknown))
    }

    /// Returns the instances of a pin, as the miniport's `IPinCount` edits them if it has one.
    pub(crate) fn instances(&self, pin: u32) -> Option<Instances> {
        let (mut counts, editor) = self.with(|bound| {
            let factory = bound.filter.pins.get(pin as usize)?;
            let current = bound.instances[pin as usize];
            let counts = Instances {
                necessary: factory.min_filter,
                current,
                possible: factory.max_filter,
                global_current: current,
                global_possible: factory.max_global,
            };
            Some((counts, bound.pin_count.clone()))
        })??;
        if let Some(editor) = editor {
            // SAFETY: the reference keeps the object; the pointers are to our own numbers.
            unsafe {
                slots::pin_count::pin_count(
                    editor.as_raw(),
                    pin,
                    &raw mut counts.necessary,
                    &raw mut counts.current,
                    &raw mut counts.possible,
                    &raw mut counts.global_current,
                    &raw mut counts.global_possible,
                );
            }
        }
        Some(counts)
    }

    /// Counts a pin opened or closed.
    pub(crate) fn count_instance(&self, pin: u32, change: i32) {
        self.with(|bound| {
            let count = &mut bound.instances[pin as usize];
            *count = count.saturating_add_signed(change);
        });
    }

    /// Notes an open stream.
    pub(crate) fn add_stream(&self, stream: PVOID) {
        self.with(|bound| bound.streams.push(stream as usize));
    }

    /// Forgets an open stream; gives whether the same object serves another pin.
    pub(crate) fn remove_stream(&self, stream: PVOID) -> bool {
        let shared = self.with(|bound| {
            if let Some(index) = bound.streams.iter().position(|&open| open == stream as usize) {
                bound.streams.swap_remove(index);
            }
            bound.streams.contains(&(stream as usize))
        });
        shared.unwrap_or(false)
    }

    /// Returns the miniport's `IPowerNotify` and those of its streams, where they have one.
    pub(crate) fn power_listeners(&self) -> Vec<Foreign> {
        let (miniport, streams) =
            self.with(|bound| (Some(Arc::clone(&bound.miniport)), bound.streams.clone())).unwrap_or_default();
        // SAFETY: an open stream is held by its pin, and pins close at passive level, where this runs.
        let streams = streams.into_iter().map(|stream| unsafe { Foreign::from_borrowed(stream as PVOID) });
        let listeners = streams.filter_map(|stream| stream.query(&guids::IID_IPOWERNOTIFY).ok());
        listeners.chain(miniport.and_then(|miniport| miniport.query(&guids::IID_IPOWERNOTIFY).ok())).collect()
    }

    /// Lets `Notify(NULL)` reach a stream's group. Returns its place.
    pub(crate) fn add_group(&self, group: &Foreign) -> Option<usize> {
        (MINIPORT_GROUP + 1..GROUPS_MAX).find(|&place| {
            self.groups[place]
                .compare_exchange(core::ptr::null_mut(), group.as_raw(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Takes a group from `Notify(NULL)`'s reach. On one processor no interrupt is inside `Notify` when this returns.
    pub(crate) fn remove_group(&self, place: usize) {
        self.groups[place].store(core::ptr::null_mut(), Ordering::Release);
    }

    /// Checks that the descriptor is still what it was (rule 24).
    pub(crate) fn check_description(&self) {
        if !watch::is_on() {
            return;
        }
        let Some((miniport, descriptor, fingerprint)) =
            self.with(|bound| (Arc::clone(&bound.miniport), bound.descriptor, bound.fingerprint))
        else {
            return;
        };
        let (again, sum) = describe(&miniport);
        if again as usize != descriptor || sum != fingerprint {
            changed_description(if again as usize == descriptor {
                "the descriptor's content has changed"
            } else {
                "another descriptor is given"
            });
        } else {
            rules::DESCRIPTION_CONSTANT.held();
        }
    }

    fn with<R>(&self, body: impl FnOnce(&mut Bound) -> R) -> Option<R> {
        self.bound.with(|bound| bound.as_mut().map(body))
    }
}

/// Asks for the descriptor, and sums it up.
fn describe(miniport: &Foreign) -> (*const FilterDescriptor, u64) {
    let mut descriptor = core::ptr::null();
    // SAFETY: the reference keeps the miniport.
    let status = unsafe { slots::miniport::get_description(miniport.as_raw(), &raw mut descriptor) };
    if !success(status) || descriptor.is_null() {
        fatal(
            "IMiniport::GetDescription",
            Violation::new(
                rules::DESCRIPTION_CONSTANT,
                format!("it returns status {status:#010x} and descriptor {descriptor:p}"),
                "return STATUS_SUCCESS and the address of a descriptor that lives as long as the miniport",
            ),
        )
    }
    // SAFETY: the miniport vouches for what it describes; what cannot be read faults, with its address.
    let sum = unsafe { descriptor::fingerprint(descriptor) };
    (descriptor, sum.unwrap_or_else(|broken| fatal("IMiniport::GetDescription", broken)))
}

fn changed_description(what: &'static str) {
    violation(
        "IMiniport::GetDescription",
        Violation::new(
            rules::DESCRIPTION_CONSTANT,
            what,
            "give one static descriptor; instance counts are edited by IPinCount",
        ),
    );
}
