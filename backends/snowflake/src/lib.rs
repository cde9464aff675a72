//! Snowflake, on snowflake-api. What that crate can't do is done in a middleware below it: see `gateway`.

mod connection;
mod credentials;
mod dialect;
mod errors;
mod gateway;
mod result;

pub use connection::SnowflakeWarehouse;
pub use dialect::SnowflakeDialect;

use std::sync::Arc;
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Setting, Settings};
use websessions_core::dialect::Dialect;
use websessions_core::error::Error;
use websessions_core::warehouse::Warehouse;

const SETTINGS: &[Setting] = &[
    Setting::optional("account", "account identifier, such as myorg-myaccount").required(),
    Setting::optional("user", "user name").required(),
    Setting::optional("token", "token to sign in with instead, such as { command = \"…\" }").secret(),
    Setting::optional("token_type", "oauth, or programmatic for a programmatic access token").or("oauth"),
    Setting::optional("password", "password, or a programmatic access token").secret(),
    Setting::optional("private_key", "PEM text of a private key (PKCS #8), for key-pair authentication").secret(),
    Setting::optional("private_key_path", "file of such a private key").path(),
    Setting::optional("private_key_passphrase", "passphrase of an encrypted private key").secret(),
    Setting::optional("role", "role; else the user's default"),
    Setting::optional("warehouse", "virtual warehouse; else the user's default"),
    Setting::optional("database", "database of the schemas").required(),
    Setting::optional("endpoint", "URL to talk to instead of https://ACCOUNT.snowflakecomputing.com"),
    Setting::optional("query_tag", "what every query tag begins with; run id, step and purpose follow")
        .or("websessions"),
    Setting::optional("statement_timeout", "seconds after which Snowflake stops a statement; else the account's"),
    Setting::optional("connect_timeout", "seconds until a connection is given up").or("10"),
];

/// The factory.
#[derive(Clone, Copy, Debug)]
pub struct Snowflake;

#[async_trait]
impl BackendFactory for Snowflake {
    fn name(&self) -> &'static str {
        "snowflake"
    }

    fn about(&self) -> &'static str {
        "Snowflake"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(SnowflakeDialect)
    }

    fn abilities(&self) -> &'static [&'static str] {
        &["cancel", "query ids in the report"]
    }

    async fn connect(&self, settings: &Settings) -> Result<Arc<dyn Warehouse>, Error> {
        Ok(Arc::new(SnowflakeWarehouse::connect(settings).await?))
    }
}
