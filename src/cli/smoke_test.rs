//! `bootkube smoke-test`: tries on a cluster what its users do.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Uri;

use super::arguments::{Form, FormArgs, KubeconfigArgs, timeout};
use super::output;
use crate::cluster::connect;
use crate::cluster::kubeconfig::Access;
use crate::error::{ExitClass, Failure};
use crate::host::signals::Interrupts;
use crate::smoke_test::{self, Settings, Step};

/// Try on a running cluster what its users do, and clean up.
///
/// Keeps a Secret, runs a Deployment, reads logs, executes a command, forwards a port, calls a port
/// of each node, and finds a Service by its name. Everything is in a namespace of its own, which is
/// deleted at the end. The pods run the image that the agents run. Exits 0 if every step passes,
/// else 1. docs/smoke-test.md lists the steps.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SmokeTestArgs {
    #[command(subcommand)]
    inside: Option<Inside>,
    #[command(flatten)]
    cluster: KubeconfigArgs,
    /// Image of bootkube that the pods run [default: that of DaemonSet pod-checkpointer]
    #[arg(long, value_name = "REFERENCE")]
    image: Option<String>,
    /// Longest time for each step
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = timeout)]
    timeout: Duration,
    #[command(flatten)]
    form: FormArgs,
}

/// What the pods of a smoke test run.
#[derive(Subcommand)]
enum Inside {
    /// Answer every request over HTTP with the name of this host.
    #[command(hide = true)]
    Serve {
        /// Port to listen on
        #[arg(long)]
        port: u16,
    },
    /// Print what the server at a URL answers.
    #[command(hide = true)]
    Fetch {
        /// Such as http://smoke-test:8080/
        url: Uri,
    },
}

pub(super) fn run(args: SmokeTestArgs) -> Result<(), Failure> {
    let SmokeTestArgs { inside, cluster, image, timeout, form } = args;
    match inside {
        None => test(&cluster.access()?, Settings { image, limit: timeout }, form.output),
        Some(Inside::Serve { port }) => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let served = output::runtime()?.block_on(smoke_test::serve(port, name));
            served.map(|never| match never {}).map_err(|error| failed(&error))
        }
        Some(Inside::Fetch { url }) => {
            let answer = output::runtime()?.block_on(smoke_test::fetch(&url));
            output::print(&format!("{}\n", answer.map_err(|error| failed(&error))?))
        }
    }
}

fn test(access: &Access, settings: Settings, form: Form) -> Result<(), Failure> {
    let mut unwritten = None;
    let mut on_step = |step: &Step| {
        if form == Form::Text {
            unwritten = output::print(&step.to_text()).err().or(unwritten.take());
        }
    };
    let steps = output::runtime()?.block_on(async {
        let interrupts = Interrupts::listen().map_err(|error| failed(&error))?;
        let client = connect::connect(access, None).map_err(|error| failed(&error))?;
        let steps = smoke_test::run(&client, settings, &interrupts, &mut on_step).await;
        steps.map_err(|error| failed(&error))
    })?;
    if form == Form::Json {
        output::print(&format!("{:#}\n", smoke_test::to_json(&steps)))?;
    }
    if let Some(unwritten) = unwritten {
        return Err(unwritten);
    }
    match steps.iter().filter(|step| step.is_well()).count() {
        passed if passed == steps.len() => Ok(()),
        passed => Err(Failure {
            class: ExitClass::General,
            message: format!("{} of {} steps passed", passed, steps.len()),
            hint: None,
        }),
    }
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(ExitClass::General, error)
}
