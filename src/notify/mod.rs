//! Notifications about backups, for people and programs.
//!
//! A [`Message`] is about one event of one database. It is posted to URLs as JSON that chats can
//! show, signed if there is a key, and passed to programs on standard input. Deliveries are retried
//! for a limited time and then dropped: a notification never prevents a backup. URLs may contain
//! tokens, so messages and logs show only scheme and host.

mod command;
mod error;
mod message;
mod once;
mod webhook;

use std::collections::BTreeMap;
use std::time::Duration;

pub use error::Error;
pub use message::Message;
pub use once::mark_reported;
pub use webhook::signature;

use crate::config::{Notifications, Occasion};
use crate::domain::Line;

/// The timeout and the retries of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// The maximum duration of an attempt.
    pub timeout: Duration,
    /// The maximum number of attempts.
    pub attempts: usize,
    /// The wait after the first attempt. It doubles with each attempt.
    pub delay: Duration,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), attempts: 5, delay: Duration::from_secs(1) }
    }
}

/// Sends notifications.
#[derive(Debug, Clone)]
pub struct Notifier {
    client: reqwest::Client,
    policy: DeliveryPolicy,
    host: Line,
}

/// The result of a delivery to one receiver.
#[derive(Debug)]
pub struct Delivery {
    /// The name of the receiver for messages and logs.
    pub to: String,
    /// The result.
    pub result: Result<(), Error>,
}

impl Notifier {
    /// Creates a sender for this machine, `host`. Fails if the HTTP client cannot be created.
    pub fn new(policy: DeliveryPolicy, host: Line) -> Result<Self, Error> {
        Ok(Self { client: webhook::client(&policy)?, policy, host })
    }

    /// Sends `message` concurrently to all receivers that are configured for its event.
    pub async fn send(&self, to: &Notifications, message: &Message) -> Vec<Delivery> {
        let mut deliveries = tokio::task::JoinSet::new();
        if to.occasions.contains(&message.occasion) {
            let body = message.to_json(&self.host).to_string();
            for url in &to.webhooks {
                let (this, url, body, key) =
                    (self.clone(), url.clone(), body.clone(), to.secret_file.clone());
                deliveries.spawn(async move {
                    let result = webhook::post(&this.client, &this.policy, &url, body, key.as_deref()).await;
                    Delivery { to: webhook::shown(&url), result }
                });
            }
            for words in &to.commands {
                let (words, body, timeout) = (words.clone(), body.clone(), self.policy.timeout * 6);
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
                let result = webhook::call(&this.client, &this.policy, &url).await;
                Delivery { to: webhook::shown(&url), result }
            });
        }
        // Sorted by receiver, independent of the order of the responses.
        let all = deliveries.join_all().await;
        let sorted: BTreeMap<_, _> =
            all.into_iter().enumerate().map(|(at, it)| ((it.to.clone(), at), it)).collect();
        sorted.into_values().collect()
    }
}
