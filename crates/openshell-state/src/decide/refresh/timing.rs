//! When a credential is minted again. Times are milliseconds since the Unix epoch.

/// A credential is minted again this long before it expires, when nothing else is said (RS-1).
const BEFORE_SECONDS: i64 = 300;
/// It is used no longer than this, when nothing else is said (RT-3).
const LIFETIME_SECONDS: i64 = 3600;
/// The pause after the first failure (RT-2); each further one doubles it.
const RETRY_MS: i64 = 60_000;
/// And no pause is longer.
const RETRY_MAX_MS: i64 = 30 * 60_000;

/// When a credential that expires then is due; 0, which is at once, when it is not known to expire (RS-1).
pub(super) fn due(expires_at_ms: i64, refresh_before_seconds: i64) -> i64 {
    let before = if refresh_before_seconds > 0 { refresh_before_seconds } else { BEFORE_SECONDS };
    if expires_at_ms > 0 { expires_at_ms.saturating_sub(before.saturating_mul(1000)) } else { 0 }
}

/// When what was minted now expires: what the issuer said, bounded by the configuration (RT-3).
/// An issuer that said nothing is believed to mean the bound.
pub(super) fn expiry(now_ms: i64, lifetime_seconds: i64, max_lifetime_seconds: i64) -> i64 {
    let most = if max_lifetime_seconds > 0 { max_lifetime_seconds } else { LIFETIME_SECONDS };
    let lifetime = if lifetime_seconds > 0 { lifetime_seconds.min(most) } else { most };
    now_ms.saturating_add(lifetime.saturating_mul(1000))
}

/// When what was minted now is due again. A credential that lives no longer than it is to be minted
/// ahead of its end would always be due: it is minted again half way through, and not within the minute
/// that it lasts longer than two.
pub(super) fn due_again(now_ms: i64, expires_at_ms: i64, refresh_before_seconds: i64) -> i64 {
    let half = expires_at_ms.saturating_sub(now_ms) / 2;
    due(expires_at_ms, refresh_before_seconds).max(now_ms.saturating_add(half.min(RETRY_MS)))
}

/// When to try again after so many failures in a row.
pub(super) fn retry(now_ms: i64, failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(16);
    now_ms.saturating_add((RETRY_MS << doublings).min(RETRY_MAX_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_credential_is_due_five_minutes_before_its_end_unless_said_otherwise() {
        assert_eq!(due(NOW, 0), NOW - 300_000);
        assert_eq!(due(NOW, 60), NOW - 60_000);
        assert_eq!(due(0, 60), 0, "never minted, or without an end: at once");
    }

    #[test]
    fn a_credential_lives_as_long_as_its_issuer_says_and_never_longer_than_configured() {
        assert_eq!(expiry(NOW, 600, 0), NOW + 600_000);
        assert_eq!(expiry(NOW, 7200, 0), NOW + 3_600_000);
        assert_eq!(expiry(NOW, 7200, 10_000), NOW + 7_200_000);
        assert_eq!(expiry(NOW, 0, 900), NOW + 900_000);
        assert_eq!(expiry(NOW, i64::MAX, i64::MAX), i64::MAX);
    }

    #[test]
    fn a_short_lived_credential_is_not_minted_without_a_pause() {
        assert_eq!(due_again(NOW, NOW + 3_600_000, 300), NOW + 3_300_000);
        assert_eq!(due_again(NOW, NOW + 200_000, 300), NOW + 60_000);
        assert_eq!(due_again(NOW, NOW + 20_000, 300), NOW + 10_000);
    }

    #[test]
    fn pauses_double_up_to_half_an_hour() {
        let pauses: Vec<i64> = (1..=7).map(|failures| (retry(NOW, failures) - NOW) / 60_000).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(retry(NOW, u32::MAX) - NOW, RETRY_MAX_MS);
    }
}
