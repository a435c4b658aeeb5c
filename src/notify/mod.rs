//! Telling people and programs what became of backups.
//!
//! A [`Message`] says one thing about one database. It is posted to addresses as
//! JSON that chats show as it is, signed when there is a key, and given to
//! programs on their standard input. Who cannot be reached is tried again for a
//! while and then given up: a message never stops a backup. Addresses may hold
//! tokens; of those nothing but the host is ever said.

mod command;
mod error;
mod message;
mod told;
mod webhook;

use std::collections::BTreeMap;
use std::time::Duration;

pub use error::Error;
pub use message::Message;
pub use told::tell_once;
pub use webhook::signature;

use crate::config::{Notifications, Occasion};
use crate::domain::Line;

/// How long somebody is tried to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many attempts there are.
    pub attempts: usize,
    /// The wait after the first one; it doubles.
    pub delay: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), attempts: 5, delay: Duration::from_secs(1) }
    }
}

/// Sends messages.
#[derive(Debug, Clone)]
pub struct Notifier {
    client: reqwest::Client,
    patience: Patience,
    host: Line,
}

/// One receiver, and whether it has the message.
#[derive(Debug)]
pub struct Delivery {
    /// What may be said of the receiver.
    pub to: String,
    /// How it went.
    pub result: Result<(), Error>,
}

impl Notifier {
    /// One that speaks for this machine, `host`.
    pub fn new(patience: Patience, host: Line) -> Result<Self, Error> {
        Ok(Self { client: webhook::client(&patience)?, patience, host })
    }

    /// Sends `message` to all who want to know, at the same time.
    pub async fn send(&self, to: &Notifications, message: &Message) -> Vec<Delivery> {
        let mut deliveries = tokio::task::JoinSet::new();
        if to.occasions.contains(&message.occasion) {
            let body = message.to_json(&self.host).to_string();
            for url in &to.webhooks {
                let (this, url, body, key) =
                    (self.clone(), url.clone(), body.clone(), to.secret_file.clone());
                deliveries.spawn(async move {
                    let result =
                        webhook::post(&this.client, &this.patience, &url, body, key.as_deref()).await;
                    Delivery { to: webhook::shown(&url), result }
                });
            }
            for words in &to.commands {
                let (words, body, timeout) = (words.clone(), body.clone(), self.patience.timeout * 6);
                deliveries.spawn(async move {
                    let to = words.first().cloned().unwrap_or_default();
                    let run = tokio::task::spawn_blocking(move || command::run(&words, body, timeout)).await;
                    Delivery { to, result: run.unwrap_or(Err(Error::Panicked)) }
                });
            }
        }
        if let (Occasion::Success | Occasion::Recovered, Some(url)) = (message.occasion, &to.heartbeat) {
            let (this, url) = (self.clone(), url.clone());
            deliveries.spawn(async move {
                let result = webhook::call(&this.client, &this.patience, &url).await;
                Delivery { to: webhook::shown(&url), result }
            });
        }
        // In an order that does not depend on who answers first.
        let all = deliveries.join_all().await;
        let sorted: BTreeMap<_, _> =
            all.into_iter().enumerate().map(|(at, it)| ((it.to.clone(), at), it)).collect();
        sorted.into_values().collect()
    }
}
