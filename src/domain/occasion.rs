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
        /// A backup that should be there is not.
        Missed = "missed",
        /// A backup cannot be relied on.
        Verification = "verification",
    }
}
