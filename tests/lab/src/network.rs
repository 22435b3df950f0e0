//! The wires: a bridge in a namespace of the lab's own, and a cable from it to each machine.
//! Nothing appears on the host.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::cgroup::Group;
use crate::command::{run, run_fed};
use crate::error::Result;
use crate::plan::Plan;
use crate::process::{Process, Role, boot};

/// Starts the switch.
pub(crate) fn switch_on(folder: &Path, group: &Group, plan: &Plan) -> Result<Process> {
    let switch = boot(Role::Switch, folder, group, &[], |_| Ok(()))?;
    let (gateway, gateway6) = (plan.gateway(), plan.gateway6());
    let lines = format!(
        "link set lo up\nlink add br0 type bridge\naddr add {gateway}/24 dev br0\n\
         addr add {gateway6}/64 dev br0 nodad\nlink set br0 up\n"
    );
    ip(&switch, &lines)?;
    Ok(switch)
}

/// Connects a machine, or what becomes one, and teaches it the way to the pods of the lab's other machines.
pub(crate) fn connect(
    switch: &Process,
    machine: &Process,
    plan: &Plan,
    number: u8,
    machines: u8,
) -> Result<()> {
    disconnect(switch, number)?;
    let (address, gateway) = (plan.machine(number), plan.gateway());
    let (address6, gateway6) = (plan.machine6(number), plan.gateway6());
    let plug = format!(
        "link add name n{number} type veth peer name eth0 netns {}\nlink set n{number} master br0 up\n{}",
        machine.pid,
        routes_to_pods("replace", plan, number)
    );
    ip(switch, &plug)?;
    let mut lines = format!(
        "link set lo up\naddr add {address}/24 dev eth0\naddr add {address6}/64 dev eth0 nodad\nlink set eth0 up\n\
         route add default via {gateway}\nroute add default via {gateway6}\n"
    );
    for other in (1..=machines).filter(|other| *other != number) {
        lines += &routes_to_pods("add", plan, other);
    }
    ip(machine, &lines)
}

fn routes_to_pods(act: &str, plan: &Plan, number: u8) -> String {
    let (pods, pods6) = (plan.pods(number), plan.pods6(number));
    let (machine, machine6) = (plan.machine(number), plan.machine6(number));
    format!("route {act} {pods} via {machine}\nroute {act} {pods6} via {machine6}\n")
}

/// Removes what is left of a machine's cable. The kernel does so too, but the machine may be back
/// before that.
pub(crate) fn disconnect(switch: &Process, number: u8) -> Result<()> {
    if !is_connected(switch, number)? {
        return Ok(());
    }
    match ip(switch, &format!("link del n{number}\n")) {
        Err(error) if is_connected(switch, number)? => Err(error),
        _ => Ok(()), // gone, whether by us or by the kernel
    }
}

fn is_connected(switch: &Process, number: u8) -> Result<bool> {
    let links = run(switch.network_command("ip").args(["-oneline", "link", "show", "type", "veth"]))?;
    Ok(links.contains(&format!(": n{number}@")))
}

fn ip(process: &Process, lines: &str) -> Result<()> {
    let mut command: Command = process.network_command("ip");
    run_fed(command.args(["-batch", "-"]), |input: &mut dyn Write| input.write_all(lines.as_bytes()))
}
