//! The words for enumerated values in files. Reading is lenient about case, hyphens and surrounding
//! whitespace; writing is canonical (providers.md F-ENUM-1, F-ENUM-2).

use openshell_proto::v1::{
    ProviderCredentialRefreshStrategy as Strategy, ProviderCredentialTokenGrantType as GrantType,
    ProviderProfileCategory as Category,
};

const CATEGORIES: [(&str, Category); 7] = [
    ("other", Category::Other),
    ("inference", Category::Inference),
    ("agent", Category::Agent),
    ("source_control", Category::SourceControl),
    ("messaging", Category::Messaging),
    ("data", Category::Data),
    ("knowledge", Category::Knowledge),
];

const STRATEGIES: [(&str, Strategy); 6] = [
    ("static", Strategy::Static),
    ("external", Strategy::External),
    ("oauth2_refresh_token", Strategy::Oauth2RefreshToken),
    ("oauth2_client_credentials", Strategy::Oauth2ClientCredentials),
    ("google_service_account_jwt", Strategy::GoogleServiceAccountJwt),
    ("aws_sts_assume_role", Strategy::AwsStsAssumeRole),
];

const GRANT_TYPES: [(&str, GrantType); 2] =
    [("client_credentials", GrantType::ClientCredentials), ("token_exchange", GrantType::TokenExchange)];

/// What a file without the key means.
pub(super) fn default_category() -> Category {
    Category::Other
}

/// What a refresh without the key means; validation then asks for one.
pub(super) fn default_strategy() -> Strategy {
    Strategy::Unspecified
}

/// The value of a word of the table, or of the empty word.
fn read<T: Copy>(what: &str, word: &str, table: &[(&str, T)], empty: T) -> Result<T, String> {
    let canonical = word.trim().to_ascii_lowercase().replace('-', "_");
    if canonical.is_empty() {
        return Ok(empty);
    }
    table.iter().find(|(name, _)| *name == canonical).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        format!("unknown {what} {word:?}: use one of {}", names.join(", "))
    })
}

fn write<T: PartialEq>(value: T, table: &[(&'static str, T)], otherwise: &'static str) -> &'static str {
    table.iter().find(|(_, other)| *other == value).map_or(otherwise, |(name, _)| *name)
}

/// The canonical word of a category; the unspecified one is written as `other`.
pub(super) fn category_word(category: Category) -> &'static str {
    write(category, &CATEGORIES, "other")
}

/// `category` for serde.
pub(super) mod category {
    use super::{CATEGORIES, Category, category_word, read};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::file) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Category, D::Error> {
        let word = String::deserialize(from)?;
        read("category", &word, &CATEGORIES, Category::Other).map_err(D::Error::custom)
    }

    pub(in crate::file) fn serialize<S: Serializer>(value: &Category, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(category_word(*value))
    }
}

/// `refresh.strategy` for serde. The unspecified one is written as a word that is not read back: a
/// profile with it passes no validation.
pub(super) mod strategy {
    use super::{STRATEGIES, Strategy, read, write};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::file) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Strategy, D::Error> {
        let word = String::deserialize(from)?;
        read("refresh strategy", &word, &STRATEGIES, Strategy::Unspecified).map_err(D::Error::custom)
    }

    pub(in crate::file) fn serialize<S: Serializer>(value: &Strategy, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(write(*value, &STRATEGIES, "unspecified"))
    }
}

/// `token_grant.grant_type` for serde.
pub(super) mod grant_type {
    use super::{GRANT_TYPES, GrantType, read, write};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::file) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<GrantType, D::Error> {
        let word = String::deserialize(from)?;
        read("token grant type", &word, &GRANT_TYPES, GrantType::Unspecified).map_err(D::Error::custom)
    }

    pub(in crate::file) fn serialize<S: Serializer>(value: &GrantType, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(write(*value, &GRANT_TYPES, ""))
    }
}
