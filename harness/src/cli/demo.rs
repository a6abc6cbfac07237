//! `dmus demo`: one song through the driver.

use std::time::Duration;

use dmus::host::failure::Diagnosed;
use dmus::host::leftovers::remove_large_files;
use dmus::machine::CardOptions;
use dmus::machine::conditions::Conditions;
use dmus::playback::{PlaybackTest, run_playback};
use dmus::report::{Terminal, error_line, failure_object, failure_text, out, out_json, verdict_object, verdict_text};
use dmus::sound::player::Player;
use dmus::sound::song_file::SongFile;
use dmus::testbed::run_folder::RunFolder;

use super::args::{ClockChoice, DemoArguments, SandboxChoice, TransportChoice};
use super::error::{Outcome, UsageError};
use super::run::warn_of_no_sandbox;
use super::setup::{card_of, provisioned_with, read_song, reproduce, workspace_of};

/// Plays a song through the driver and prints the verdict.
///
/// # Errors
/// What keeps the song from being played: an unreadable file, a missing artefact, a run folder that cannot be created.
pub(super) fn demo(arguments: &DemoArguments) -> Outcome {
    if arguments.guard && matches!(arguments.transport, TransportChoice::VfioUser) {
        let text = "--guard stands before vhost-user's socket; over vfio-user there is none";
        return Err(UsageError(text.into()).into());
    }
    let live = arguments.live.live()?;
    if live.is_some() && !matches!(arguments.clock, ClockChoice::Realtime) {
        return Err(UsageError("--midi-in plays in the time of the host: add --clock realtime".into()).into());
    }
    // Before anything runs.
    let player = arguments.listen.then(Player::find).transpose()?;
    let terminal = Terminal::new();
    if matches!(arguments.sandbox, SandboxChoice::Off) {
        warn_of_no_sandbox("--sandbox off", &terminal);
    }
    let card = || card_of(Some(&arguments.machine), &terminal);
    let SongFile { song, bank } = read_song(arguments.song.as_deref(), arguments.bank.as_deref(), &terminal, card)?;
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    let image = arguments.guest.open(&workspace, &terminal)?;
    let device = arguments.device.device(arguments.driver.as_deref(), &terminal)?;
    let mut provisioned =
        provisioned_with(&workspace, &arguments.machine, &arguments.debugger, arguments.driver.as_deref(), &terminal)?;
    (provisioned.device, provisioned.image) = (device, image);
    let folder = RunFolder::create(&workspace, &format!("demo-{}", song.name), arguments.run_folder.as_deref())?;
    let playback = PlaybackTest {
        card: CardOptions {
            transport: arguments.transport.into(),
            clock: arguments.clock.into(),
            bank,
            render_block: arguments.render_block,
            guard: arguments.guard,
            sandbox: arguments.sandbox.into(),
            trace: true,
        },
        sample_rate: arguments.rate,
        capture: arguments.capture || live.is_some(),
        live,
        judge: arguments.judge.judge(),
        policy: arguments.violations.policy(),
        quantum_frames: arguments.quantum,
        timeout: Duration::from_secs(arguments.machine.timeout),
        guest_log: arguments.guest_log.clone(),
        out: arguments.out.clone(),
        conditions: Conditions {
            processors: arguments.processors,
            seed: arguments.seed,
            interrupts: arguments.interrupts,
            messages: arguments.messages,
            bars: arguments.bars,
            windows: arguments.windows,
            marks: !arguments.no_marks,
            ..Conditions::default()
        },
        restarts: arguments.restarts,
        ..PlaybackTest::of(song)
    };
    if let Some(reason) = provisioned.image.as_ref().and_then(|_| playback.conditions.only_nt_host()) {
        return Err(UsageError(format!("{reason}: an image has no such option")).into());
    }
    let reproduce = reproduce();
    let result = run_playback(&playback, &provisioned, &folder, &reproduce, &terminal);
    drop(terminal);
    match result {
        Ok(verdict) => {
            let guest = folder.file("guest.wav");
            if player.is_some() && !guest.is_file() {
                error_line("warning: the driver gives no PCM, so that there is nothing to listen to");
            }
            let listened = player.filter(|_| guest.is_file()).map(|player| player.play(&guest));
            // A folder that the user named keeps everything.
            if verdict.passed() && !arguments.keep && arguments.run_folder.is_none() {
                remove_large_files(folder.path());
            }
            if arguments.json {
                out_json(&verdict_object(&verdict, &reproduce));
            } else {
                out(&verdict_text(&verdict, arguments.out.as_deref(), &reproduce));
            }
            listened.transpose()?;
            Ok((!verdict.passed()).then(|| verdict.class_of_failure()))
        }
        Err(failure) => {
            error_line(&failure_text(&failure, playback.conditions, &reproduce));
            if arguments.json {
                out_json(&failure_object(&failure, playback.conditions, &reproduce));
            }
            Ok(Some(failure.error.class()))
        }
    }
}
