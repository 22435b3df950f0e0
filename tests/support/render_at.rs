//! `render` with a clock of one's own: the library's calls, as `bootkube render` makes them.

use std::path::Path;

use bootkube::config::{Flags, resolve};
use bootkube::pki::{Previous, Supplied, issue};
use bootkube::{assets, render};
use time::OffsetDateTime;

/// Renders the configuration in `text` into `dir`, as if it were `now`.
pub fn render_at(text: &str, dir: &Path, now: OffsetDateTime) {
    let (config, _) = resolve(Flags::default(), Some(("cluster.yaml", text))).unwrap();
    let supplied = Supplied::read(&config, now).unwrap();
    let (bundle, _) = issue(&config, supplied, &Previous::default(), now).unwrap();
    assets::write::write(dir, &render::render(&config, &bundle).unwrap()).unwrap();
}
