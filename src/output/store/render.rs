//! Results of the commands for stores as text.

use super::{
    CollectedGarbage, DatabaseStats, HitArtifact, PackAmount, StoreCheck, StoreDescription, StoreStats,
    StoreWriter, StoredArtifactRow,
};
use crate::domain::human_bytes;
use crate::store::CopyReport;
use crate::terminal::text::counted;
use crate::terminal::{OutputError, Render, Style, Ui};

impl Render for StoreDescription {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let Self { url, config } = self;
        ui.line(format!("url:        {url}"))?;
        ui.line(format!("id:         {}", config.id))?;
        ui.line(format!("format:     {}", config.format))?;
        ui.line(format!("created:    {}", config.created_at))?;
        ui.line(format!("encrypted:  {}", if config.encrypted { "yes" } else { "no" }))
    }
}

impl StoredArtifactRow {
    /// Prints the artifact in one line. Fails if standard output cannot be written.
    pub fn print(&self, ui: &Ui) -> Result<(), OutputError> {
        let (size, stored) = (human_bytes(self.size_bytes), human_bytes(self.stored_bytes));
        let Self { id, database, created_at, .. } = self;
        ui.line(format!("{id}  {database:<16} {created_at}  {size:>10} {stored:>10}"))
    }
}

impl Render for StoreStats {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        for DatabaseStats { database, artifacts, size_bytes, stored_bytes, ratio } in &self.databases {
            ui.line(format!(
                "{database:<16} {:>14} {:>10} in {:>10}  {}",
                counted(*artifacts, "artifact"),
                human_bytes(*size_bytes),
                human_bytes(*stored_bytes),
                ratio.map_or(String::new(), |ratio| format!("{ratio:.1}x"))
            ))?;
        }
        let (content, stored) = (human_bytes(self.size_bytes), human_bytes(self.stored_bytes));
        ui.line(format!(
            "{}, {content} in {stored} and {}; {} of it garbage",
            counted(self.artifacts, "artifact"),
            counted(self.packs, "pack"),
            human_bytes(self.garbage_bytes)
        ))
    }
}

impl Render for CollectedGarbage {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        for StoreWriter { started_at, last_seen_at, .. } in self.writers.iter().filter(|writer| !writer.dead)
        {
            let started = started_at.unwrap_or(*last_seen_at);
            ui.status(&format!("a writer is active since {started}, last heartbeat {last_seen_at}"));
        }
        let (verb, packs, manifests) = match self.dry_run {
            true => ("would remove", &self.garbage, self.superseded_manifests),
            false => ("removed", &self.removed, self.removed_manifests),
        };
        let manifests = match manifests {
            0 => String::new(),
            count => format!(" and {}", counted(count, "old manifest")),
        };
        ui.line(format!("{verb} {}{manifests}", packs.words()))?;
        if self.waiting.packs > 0 {
            ui.line(format!("{} wait for active writers", self.waiting.words()))?;
        }
        if self.unfinished.packs > 0 {
            ui.line(format!("{} may be in use by active writers", self.unfinished.words()))?;
        }
        if self.dry_run && self.garbage.packs + self.superseded_manifests > 0 {
            ui.hint("'git pggit store gc --force' removes the garbage");
        }
        Ok(())
    }
}

impl PackAmount {
    fn words(&self) -> String {
        format!("{} ({})", counted(self.packs, "pack"), human_bytes(self.stored_bytes))
    }
}

impl Render for StoreCheck {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        for object in &self.repaired {
            ui.status(&format!("repaired {object}"));
        }
        for damaged in &self.damaged {
            let rest = format!("  {}: {} [{}]", damaged.object, damaged.detail, damaged.code);
            ui.spans(&[(Style::Bad, "damaged "), (Style::Plain, &rest)])?;
        }
        for failed in &self.not_repaired {
            ui.line(format!("cannot be repaired: {}: {}", failed.object, failed.error))?;
        }
        for hit in &self.hit {
            let name = hit.backup.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            ui.spans(&[
                (Style::Bad, "affected"),
                (Style::Plain, &format!("  {}{name}: {}", hit.id, files(hit))),
            ])?;
        }
        self.print_bystanders(ui)?;
        let read = match self.read.packs {
            0 => String::new(),
            count => format!(", read {} of {}", human_bytes(self.read.stored_bytes), counted(count, "pack")),
        };
        ui.line(format!(
            "checked {} and {}{read}: {}, {} affected",
            counted(self.artifacts, "artifact"),
            counted(self.packs, "pack"),
            counted(self.damaged.len(), "damaged object"),
            counted(self.hit.len(), "artifact"),
        ))
    }
}

impl StoreCheck {
    /// Prints garbage, writers and unfinished garbage collections. None of them is damage.
    fn print_bystanders(&self, ui: &Ui) -> Result<(), OutputError> {
        match &self.garbage {
            Some(garbage) if garbage.packs > 0 => {
                ui.line(format!("garbage: {}; 'git pggit store gc' removes it", garbage.words()))?;
            }
            _ => {}
        }
        for StoreWriter { writer, last_seen_at, dead, .. } in &self.writers {
            let state = if *dead { "crashed" } else { "active" };
            ui.line(format!("{state} writer: {writer}, last heartbeat {last_seen_at}"))?;
        }
        if self.unfinished_collections > 0 {
            ui.line(format!("{} not finished", counted(self.unfinished_collections, "garbage collection")))?;
        }
        Ok(())
    }
}

fn files(hit: &HitArtifact) -> String {
    match hit.files.is_empty() {
        true => "all of it".to_owned(),
        false => hit.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// Prints the result of a copy of a store as text. Fails if standard output cannot be written.
pub fn print_copy(copied: &CopyReport, ui: &Ui) -> Result<(), OutputError> {
    let new = copied.artifacts.iter().filter(|copy| copy.new).count();
    ui.line(format!(
        "copied {} with {} ({}); {} were already copied",
        counted(new, "artifact"),
        counted(copied.packs.count, "pack"),
        human_bytes(copied.packs.bytes),
        copied.artifacts.len() - new
    ))?;
    if copied.wal.count > 0 {
        let (files, size) = (counted(copied.wal.count, "file"), human_bytes(copied.wal.bytes));
        ui.line(format!("copied {files} of WAL ({size})"))?;
    }
    Ok(())
}
