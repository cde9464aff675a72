//! Access tokens: given, or made from credentials as Google's own tools find them.
//! Source: <https://cloud.google.com/docs/authentication/application-default-credentials>.

use gcp_bigquery_client::auth::Authenticator;
use gcp_bigquery_client::error::BQError;
use gcp_bigquery_client::yup_oauth2::authenticator::{ApplicationDefaultCredentialsTypes, DefaultAuthenticator};
use gcp_bigquery_client::yup_oauth2::{
    ApplicationDefaultCredentialsAuthenticator, ApplicationDefaultCredentialsFlowOpts, AuthorizedUserAuthenticator,
    ServiceAccountAuthenticator,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::error::Error;

const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";

/// Where tokens come from. Those that are made are kept until they expire.
#[derive(Clone)]
pub(crate) enum Credentials {
    Token(Arc<Token>),
    Made(Arc<DefaultAuthenticator>),
}

/// A token that was given, and where another comes from when it has passed.
pub(crate) struct Token {
    value: Mutex<String>,
    settings: Settings,
}

impl Token {
    pub(crate) fn value(&self) -> String {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Authenticator for Credentials {
    async fn access_token(&self) -> Result<String, BQError> {
        match self {
            Self::Token(token) => Ok(token.value()),
            Self::Made(authenticator) => {
                let token = authenticator.token(&[SCOPE]).await?;
                token.token().map(str::to_owned).ok_or(BQError::NoToken)
            }
        }
    }
}

impl Credentials {
    /// Asks for a new token where the one at hand was refused; says whether there is one.
    pub(crate) fn renew(&self) -> Result<bool, Error> {
        let Self::Token(token) = self else { return Ok(false) };
        let Some(new) = token.settings.renewed("access_token")? else { return Ok(false) };
        let mut value = token.value.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = *value != new;
        *value = new;
        Ok(differs)
    }

    pub(crate) async fn new(settings: &Settings) -> Result<Self, Error> {
        if let Some(token) = settings.get("access_token") {
            let token = settings.renewed("access_token")?.unwrap_or_else(|| token.to_owned());
            return Ok(Self::Token(Arc::new(Token { value: Mutex::new(token), settings: settings.clone() })));
        }
        if let Some(json) = settings.get("credentials") {
            return Self::from_json(json, "the target's credentials").await;
        }
        let named = settings.get("credentials_path").map(PathBuf::from);
        let named = named.or_else(|| std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from));
        let usual = || {
            let home = std::env::var_os("HOME").map(PathBuf::from)?;
            Some(home.join(".config/gcloud/application_default_credentials.json")).filter(|path| path.exists())
        };
        if let Some(path) = named.or_else(usual) {
            let shown = path.display().to_string();
            let json = std::fs::read_to_string(&path).map_err(|error| Error::unreadable(&shown, &error))?;
            return Self::from_json(&json, &shown).await;
        }
        // A machine of Google's: Compute Engine, Cloud Run, and GKE with workload identity.
        match ApplicationDefaultCredentialsAuthenticator::builder(ApplicationDefaultCredentialsFlowOpts::default())
            .await
        {
            ApplicationDefaultCredentialsTypes::InstanceMetadata(builder) => builder.build().await,
            ApplicationDefaultCredentialsTypes::ServiceAccount(builder) => builder.build().await,
        }
        .map(|authenticator| Self::Made(Arc::new(authenticator)))
        .map_err(|error| Error::configuration(format!("Google's metadata server gives no credentials: {error}")))
    }

    async fn from_json(json: &str, shown: &str) -> Result<Self, Error> {
        // The words of a JSON error could hold a piece of the key: they are left out.
        let malformed = || Error::Configuration {
            message: format!("{shown} is not the JSON of a service account's key or of a user's credentials"),
            hint: Some(
                "create a key in the Google Cloud console, or run 'gcloud auth application-default login'".to_owned(),
            ),
        };
        let value: serde_json::Value = serde_json::from_str(json).map_err(|_| malformed())?;
        let refused = |error: std::io::Error| Error::configuration(format!("{shown}: {error}"));
        let authenticator = match value["type"].as_str() {
            Some("service_account") => {
                let key = serde_json::from_value(value).map_err(|_| malformed())?;
                ServiceAccountAuthenticator::builder(key).build().await.map_err(refused)?
            }
            Some("authorized_user") => {
                let secret = serde_json::from_value(value).map_err(|_| malformed())?;
                AuthorizedUserAuthenticator::builder(secret).build().await.map_err(refused)?
            }
            Some(other) => {
                return Err(Error::Configuration {
                    message: format!("{shown} has credentials of type {other:?}, which this backend can't use"),
                    hint: Some(
                        "set access_token = { command = \"gcloud auth application-default print-access-token\" }"
                            .to_owned(),
                    ),
                });
            }
            None => return Err(malformed()),
        };
        Ok(Self::Made(Arc::new(authenticator)))
    }
}
