//! How a target signs in: password, key pair, or token.

use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, SecretDocument};
use snowflake_api::{AuthType, CertificateArgs, PasswordArgs};
use websessions_core::backend::Settings;
use websessions_core::error::Error;

/// How the target signs in.
pub(crate) enum Credentials {
    /// A password, or a programmatic access token in its place.
    Password(String),
    PrivateKey(String),
    /// A token, and the kind that it is of.
    Token {
        token: String,
        authenticator: &'static str,
    },
}

impl Credentials {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let text = |name: &str| settings.get(name).map(str::to_owned);
        let key = match (text("private_key"), text("private_key_path")) {
            (Some(key), _) => Some(key),
            (None, Some(path)) => {
                Some(std::fs::read_to_string(&path).map_err(|error| Error::unreadable(&path, &error))?)
            }
            (None, None) => None,
        };
        // <https://docs.snowflake.com/en/user-guide/oauth-intro>
        // <https://docs.snowflake.com/en/user-guide/programmatic-access-tokens>
        let authenticator = match settings.get("token_type") {
            None | Some("oauth") => "OAUTH",
            Some("programmatic") => "PROGRAMMATIC_ACCESS_TOKEN",
            Some(other) => {
                return Err(Error::configuration(format!(
                    "the target's token_type {other:?} is neither oauth nor programmatic"
                )));
            }
        };
        match (text("token"), key, text("password")) {
            (Some(token), ..) => Ok(Self::Token { token, authenticator }),
            (None, Some(key), _) => Ok(Self::PrivateKey(decrypted(&key, settings.get("private_key_passphrase"))?)),
            (None, None, Some(password)) => Ok(Self::Password(password)),
            (None, None, None) => {
                Err(Error::configuration("a snowflake target needs token, private_key, private_key_path or password"))
            }
        }
    }

    /// The credentials as they are now: a token or a password that comes from a command is asked for again.
    pub(crate) fn renewed(&self, settings: &Settings) -> Result<Self, Error> {
        Ok(match self {
            Self::Password(old) => Self::Password(settings.renewed("password")?.unwrap_or_else(|| old.clone())),
            Self::PrivateKey(key) => Self::PrivateKey(key.clone()),
            Self::Token { token, authenticator } => {
                let token = settings.renewed("token")?.unwrap_or_else(|| token.clone());
                Self::Token { token, authenticator }
            }
        })
    }

    /// As the crate takes them. It knows no tokens: the gateway puts one in the password's place.
    pub(crate) fn for_crate(&self) -> AuthType {
        match self {
            Self::Password(password) => AuthType::Password(PasswordArgs { password: password.clone() }),
            Self::PrivateKey(key) => AuthType::Certificate(CertificateArgs { private_key_pem: key.clone() }),
            Self::Token { .. } => AuthType::Password(PasswordArgs { password: String::new() }),
        }
    }

    /// The text that no message may show.
    pub(crate) fn secret(&self) -> &str {
        match self {
            Self::Password(text) | Self::PrivateKey(text) | Self::Token { token: text, .. } => text,
        }
    }
}

/// A private key as snowflake-api takes it, which knows no encrypted ones.
/// <https://docs.snowflake.com/en/user-guide/key-pair-auth>
fn decrypted(pem: &str, passphrase: Option<&str>) -> Result<String, Error> {
    let wrong = |message: String, hint: &str| Error::Configuration { message, hint: Some(hint.to_owned()) };
    let (label, der) = SecretDocument::from_pem(pem.trim()).map_err(|error| {
        wrong(format!("the target's private key can't be read: {error}"), "it must be PEM text, as OpenSSL writes it")
    })?;
    match (label, passphrase) {
        ("PRIVATE KEY", _) => Ok(pem.trim().to_owned()),
        ("ENCRYPTED PRIVATE KEY", Some(passphrase)) => EncryptedPrivateKeyInfo::try_from(der.as_bytes())
            .and_then(|key| key.decrypt(passphrase))
            .and_then(|key| Ok(key.to_pem("PRIVATE KEY", LineEnding::LF)?.to_string()))
            .map_err(|_| {
                wrong("the target's private key can't be decrypted".into(), "check the target's private_key_passphrase")
            }),
        ("ENCRYPTED PRIVATE KEY", None) => Err(wrong(
            "the target's private key is encrypted".into(),
            "set private_key_passphrase, for example to { env = \"SNOWFLAKE_KEY_PASSPHRASE\" }",
        )),
        (label, _) => Err(wrong(
            format!("the target's private key is a {label:?}"),
            "convert it with 'openssl pkcs8 -topk8 -in KEY -out KEY.p8'",
        )),
    }
}
