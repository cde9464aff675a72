//! Loading files: how far it is and what was left out are told as they are known.

use super::event::{Event, Listener};
use crate::error::WarehouseError;
use crate::plan::Load;
use crate::warehouse::{Loaded, Warehouse};
use crate::words::counted;
use std::time::Duration;

/// How often the progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Loads files, and tells how far they have been read.
pub(super) async fn load_files(
    warehouse: &dyn Warehouse,
    load: &Load,
    listener: &dyn Listener,
) -> Result<Vec<Loaded>, WarehouseError> {
    let (files, loading) = (&load.files, warehouse.load(load));
    tokio::pin!(loading);
    let mut looks = tokio::time::interval(PROGRESS_INTERVAL);
    let mut told = None;
    let mut tell = || {
        let position = files.progress.get();
        if position != told
            && let Some(position) = position.clone()
        {
            listener.on(&Event::Loading { position });
        }
        told = position;
    };
    let loaded = loop {
        tokio::select! {
            loaded = &mut loading => break loaded?,
            _ = looks.tick() => tell(),
        }
    };
    tell();
    for file in loaded.iter().filter(|file| file.rows_left_out > 0) {
        let kept = match &files.rejects {
            Some(path) => format!("see {}", path.display()),
            None => "--rejects FILE keeps what is left out".to_owned(),
        };
        let message = format!("{}: {} left out; {kept}", file.file, counted(file.rows_left_out, "wrong row"));
        listener.on(&Event::Warning { message });
    }
    listener.on(&Event::Loaded { files: loaded.clone() });
    Ok(loaded)
}
