//! The occasions for notifications.

use super::named_enum::named_enum;

named_enum! {
    /// The event that a message reports.
    Occasion("occasion") {
        /// A backup was completed.
        Success = "success",
        /// A job failed for good.
        Failure = "failure",
        /// The first backup after that was completed.
        Recovered = "recovered",
        /// A scheduled backup is missing.
        Missed = "missed",
        /// A verification failed.
        Verification = "verification",
    }
}
