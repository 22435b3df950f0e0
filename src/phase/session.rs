//! The lock of the machine and the journal, which a command that changes this machine holds while
//! it runs.

use std::path::Path;
use std::time::{Duration, Instant};

use super::error::Error;
use super::machine;
use crate::host::identity::Identity;
use crate::host::lock::{self, Holder, Lock};
use crate::host::signals::Interrupts;
use crate::journal::{Command, Journal, Run, SCHEMA, State};
use crate::timestamp::rfc3339;
use crate::ui::{Event, Sink};
use crate::{JOURNAL, KUBERNETES};

/// How long the holder of the lock may take to end.
const GRACE: Duration = Duration::from_millis(200);
/// How long a new holder of the lock may take to write who it is: its disk may be busy.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// Waits up to `patience` for the lock of this machine. None for a user other than root, who cannot
/// change the machine anyway: the checks say so.
pub async fn lock(
    command: &str,
    patience: Duration,
    interrupts: &Interrupts,
    sink: &dyn Sink,
) -> Result<Option<Lock>, Error> {
    if machine::check_root().is_err() {
        return Ok(None);
    }
    let begun = Instant::now();
    let me = holder(command)?;
    let mut told = None;
    let least = |is_named: bool| if is_named { GRACE } else { INTRODUCTION };
    loop {
        let held = match lock::take(Path::new(KUBERNETES), &me) {
            Err(lock::Error::Held { holder, .. })
                if begun.elapsed() < patience.max(least(holder.is_some())) =>
            {
                holder
            }
            taken => return Ok(Some(taken?)),
        };
        if held.is_some() && held != told && !patience.is_zero() {
            held.iter().for_each(|holder| sink.tell(Event::Info(format!("waiting for {holder}"))));
            told = held;
        }
        tokio::select! {
            () = tokio::time::sleep(machine::PROBE) => {}
            signal = interrupts.asked() => return Err(Error::Interrupted { signal, phase: "wait for the lock" }),
        }
    }
}

/// What this process writes into the lock's file, for others to name it.
pub fn holder(command: &str) -> Result<Holder, Error> {
    let Identity { host, boot } = identity()?;
    let since = rfc3339(time::OffsetDateTime::now_utc());
    Ok(Holder { command: command.to_owned(), bootkube: crate::VERSION.to_owned(), host, boot, since })
}

fn identity() -> Result<Identity, Error> {
    Identity::of_this_machine().map_err(|error| Error::Lock(error.into()))
}

/// Begins the journal anew, with what is known from before.
pub fn begin(command: Command, before: &State, assets: Option<String>) -> Result<Journal, Error> {
    let Identity { host, boot } = identity()?;
    let run = Run { schema: SCHEMA, command, bootkube: crate::VERSION.to_owned(), host, boot, assets };
    Ok(Journal::begin(Path::new(JOURNAL), before, run)?)
}
