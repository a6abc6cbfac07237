//! Property requests of the harness, sent to filters and pins.

use alloc::format;

use guest_protocol::{Caller, Failure, FailureKind, Handle, PropertyRequest, PropertyVerb, Reply};

use super::{Session, no_handle, request, unsupported};
use crate::layout::{self, Width};
use crate::outlet::Outlet;
use crate::system::{Buffers, Completion, RawHandle, System};

/// Most bytes of a property's value that a request may ask for.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// How long a driver may take for a property, in 100 ns units.
const ANSWER_LIMIT: i64 = 100_000_000;

/// A property request that has been sent.
pub(super) struct Pending<R> {
    sent: R,
    raw: RawHandle,
    is_set: bool,
}

impl<R> Pending<R> {
    /// Cancels the request, and leaves its memory to the driver.
    pub(super) fn give_up<S: System<Request = R>>(self, system: &mut S) {
        match system.completed(&self.sent) {
            Some(_) => drop(system.finish(self.sent)),
            None => system.abandon(self.sent),
        }
    }
}

/// Checks that the agent is the caller that a request is to come from.
///
/// # Errors
/// [`FailureKind::Unsupported`] for another one.
pub(super) fn check_caller(caller: Caller) -> Result<(), Failure> {
    match (caller, Width::OWN) {
        (Caller::User64, Width::Bits64) | (Caller::User32, Width::Bits32) => Ok(()),
        (Caller::Kernel, _) => Err(unsupported("the agent is a process: no request of it comes from the kernel")),
        (Caller::User32, Width::Bits64) => Err(unsupported("this agent is a 64-bit process")),
        (Caller::User64, Width::Bits32) => Err(unsupported("this agent is a 32-bit process")),
    }
}

/// Waits for a request.
///
/// # Errors
/// [`FailureKind::Timeout`] for a driver that keeps it; its memory is then left to the driver.
pub(super) fn finish<S: System>(
    system: &mut S,
    outlet: &mut dyn Outlet,
    sent: S::Request,
    raw: RawHandle,
    what: &str,
) -> Result<(Completion, Buffers), Failure> {
    let until = system.now() + ANSWER_LIMIT;
    let mut waits = true;
    loop {
        if let Some(completion) = system.completed(&sent) {
            return Ok((completion, system.finish(sent)));
        }
        if !waits || system.now() > until {
            system.cancel(raw);
            system.abandon(sent);
            let message = format!("the driver keeps {what} and does not complete it");
            return Err(Failure { kind: FailureKind::Timeout, message });
        }
        waits = outlet.pump(1);
    }
}

impl<R> Session<R> {
    fn send_property<S: System<Request = R>>(
        &self,
        system: &mut S,
        what: &PropertyRequest,
    ) -> Result<Pending<R>, Failure> {
        check_caller(what.caller)?;
        let raw = self.raw(what.target)?;
        if what.value.len() > VALUE_BYTES_MAX {
            return Err(request(format!("a value of more than {VALUE_BYTES_MAX} bytes is requested")));
        }
        let verb = match what.verb {
            PropertyVerb::Get => layout::PROPERTY_GET,
            PropertyVerb::Set => layout::PROPERTY_SET,
            PropertyVerb::BasicSupport => layout::PROPERTY_BASIC_SUPPORT,
        };
        let mut input = layout::property(&what.set, what.id, verb, what.node);
        input.extend(&what.instance);
        let output = what.value.clone().into();
        let buffers = Buffers { input: input.into(), output, ..Buffers::default() };
        let sent = system.begin(raw, layout::IOCTL_KS_PROPERTY, buffers);
        Ok(Pending { sent, raw, is_set: what.verb == PropertyVerb::Set })
    }

    /// Sends a property request and waits until the driver completes it.
    pub(super) fn property<S: System<Request = R>>(
        &self,
        system: &mut S,
        outlet: &mut dyn Outlet,
        what: &PropertyRequest,
    ) -> Result<Reply, Failure> {
        let Pending { sent, raw, is_set } = self.send_property(system, what)?;
        let (completion, buffers) = finish(system, outlet, sent, raw, "the property request")?;
        Ok(reply(completion, buffers, is_set))
    }

    /// Sends a property request and returns its handle, or its answer where the driver does not keep it.
    pub(super) fn begin_property<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        what: &PropertyRequest,
    ) -> Result<Reply, Failure> {
        let pending = self.send_property(system, what)?;
        self.last_handle += 1;
        self.pending.insert(self.last_handle, pending);
        self.take_property(system, Handle(self.last_handle))
    }

    /// Returns the answer of a request, if the driver does not keep it any more.
    pub(super) fn take_property<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        handle: Handle,
    ) -> Result<Reply, Failure> {
        let pending = self.pending.get(&handle.0).ok_or_else(|| no_handle(handle))?;
        let Some(completion) = system.completed(&pending.sent) else { return Ok(Reply::PropertyPending(handle)) };
        let Pending { sent, is_set, .. } = self.pending.remove(&handle.0).ok_or_else(|| no_handle(handle))?;
        Ok(reply(completion, system.finish(sent), is_set))
    }

    /// Cancels what the agent has sent to the handle of a pending request.
    pub(super) fn cancel_property<S: System<Request = R>>(
        &self,
        system: &mut S,
        handle: Handle,
    ) -> Result<Reply, Failure> {
        let pending = self.pending.get(&handle.0).ok_or_else(|| no_handle(handle))?;
        system.cancel(pending.raw);
        Ok(Reply::Done)
    }
}

/// Returns the answer of a completed request.
fn reply(completion: Completion, buffers: Buffers, is_set: bool) -> Reply {
    let mut value = buffers.output.into_vec();
    let written = if completion.is_success() && !is_set { completion.information.min(value.len()) } else { 0 };
    value.truncate(written);
    Reply::Property { status: completion.status, value, length: completion.information as u32 }
}
