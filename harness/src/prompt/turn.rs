//! What a verb of the prompt works on: the steps that pause, and the session of the prompt.

use std::path::PathBuf;

use card_control::Status;
use guest_protocol::{Failure, Reply, Request};

use super::answer::Refusal;
use super::log::Log;
use crate::host::failure::Class;
use crate::machine::CardControl;
use crate::steps::Stepping;
use crate::testbed::TestBed;
use crate::testbed::session::SessionError;

/// What a verb works on.
pub(super) struct Turn<'t, 'o> {
    /// The steps that pause.
    pub(super) steps: &'t mut dyn Stepping<'o>,
    /// The lines so far.
    pub(super) log: &'t mut Log,
    /// Whether the guest was gone before the prompt opened.
    pub(super) gone: bool,
    /// Whether a scenario's steps come behind the prompt.
    pub(super) has_more: bool,
}

impl<'o> Turn<'_, 'o> {
    /// Returns the test bed.
    pub(super) fn bed(&mut self) -> &mut TestBed<'o> {
        self.steps.bed()
    }

    /// Returns whether the guest no longer answers.
    pub(super) fn is_lost(&self) -> bool {
        self.gone || self.steps.is_lost()
    }

    /// Returns the test bed with a guest that answers.
    ///
    /// # Errors
    /// [`Refusal`] where it has ended.
    pub(super) fn guest(&mut self) -> Result<&mut TestBed<'o>, Refusal> {
        if self.is_lost() { Err(lost()) } else { Ok(self.steps.bed()) }
    }

    /// Returns the card's control socket.
    ///
    /// # Errors
    /// [`Refusal`] where the device is another one.
    pub(super) fn card(&self) -> Result<&CardControl, Refusal> {
        let missing = || Refusal::usage("the device is not the project's card: only its guest side can be shown");
        self.steps.card().ok_or_else(missing)
    }

    /// Reads the card's status.
    ///
    /// # Errors
    /// [`Refusal`] where the device is another one, or the card does not answer.
    pub(super) fn status(&self) -> Result<Status, Refusal> {
        self.card()?.status().map_err(|error| {
            if self.is_lost() {
                let text = "the card has ended with the guest: `trace tail` shows what it recorded";
                return Refusal::of(Class::GuestCrashed, text);
            }
            Refusal::of(Class::CardDied, format!("the card does not answer on its control socket: {error}"))
        })
    }

    /// Sends a request to the guest.
    ///
    /// # Errors
    /// [`Refusal`] with the guest's reason, or with what ended it.
    pub(super) fn ask(&mut self, what: &str, request: Request) -> Result<Reply, Refusal> {
        let answer = self.guest()?.session.call(what, request, |_, _| {});
        match answer {
            Ok(reply) => Ok(reply),
            Err(SessionError::Refused { failure: Failure { message, .. }, .. }) => {
                Err(Refusal::of(Class::TestFailed, message))
            }
            Err(error) => Err(self.steps.explain(what, error.into()).into()),
        }
    }

    /// Returns the run folder.
    pub(super) fn run_folder(&mut self) -> Option<PathBuf> {
        self.bed().run_folder().map(|folder| folder.path().to_path_buf())
    }
}

/// Returns the refusal of a line that needs a guest, where there is none any more.
pub(super) fn lost() -> Refusal {
    Refusal::of(Class::GuestCrashed, "the guest has ended: `again` boots it anew and does it all again, `quit` leaves")
}
