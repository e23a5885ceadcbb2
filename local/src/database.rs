//! The DynamoDB behind the development server: embedded, or the one that the environment names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_dynamodb::config::{Builder, Credentials, SharedHttpClient};
use dynoxide::Database;
use ratchet_model::clock::SystemClock;
use ratchet_store::Store;
use ratchet_store::client;
use ratchet_store::table_keys::ListShards;
use ratchet_store::trust_roots::TrustRoots;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::events::Changes;
use crate::in_process::{InProcess, Unsigned};
use crate::sync;

/// A DynamoDB that can be called.
#[derive(Debug)]
pub struct DynamoDb {
    /// Where it listens.
    pub endpoint: String,
    embedded: Option<Embedded>,
}

/// An embedded DynamoDB that runs.
struct Embedded {
    database: Database,
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<()>,
    /// Its file, where it has one, and what syncs it.
    file: Option<(PathBuf, JoinHandle<()>)>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Embedded")
    }
}

impl DynamoDb {
    /// A DynamoDB that runs already.
    #[must_use]
    pub const fn at(endpoint: String) -> Self {
        Self { endpoint, embedded: None }
    }

    /// Creates the file of an embedded DynamoDB with a table in it, if there is no file: whole, or not at all.
    ///
    /// The embedded DynamoDB creates a table in many steps. Ended between two of them it took the table for there, and had not what it
    /// consists of: each request was answered with 503, at each start from then on. So it is created in memory, and its file gets
    /// its name when it is on the disk.
    ///
    /// # Errors
    ///
    /// Why it cannot be created.
    pub async fn create_file(file: &Path, table: &str) -> Result<(), String> {
        if file.metadata().is_ok_and(|found| found.len() > 0) {
            return Ok(());
        }
        let failed = |why: String| format!("the database {} cannot be created: {why}", file.display());
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
            return Err(failed(format!("there is no folder {}", folder.display())));
        }
        let memory = Self::embedded(None).await?;
        let store = Store::new(memory.config(), table.to_owned(), Arc::new(SystemClock));
        let store = store.with_list_shards(memory.list_shards());
        store.create_table_if_missing().await.map_err(|error| failed(error.to_string()))?;
        if let Some(embedded) = &memory.embedded {
            sync::write_whole(&embedded.database, file).map_err(failed)?;
        }
        memory.stop().await;
        Ok(())
    }

    /// Starts an embedded DynamoDB on a free port of the loopback interface, in memory or in a file.
    ///
    /// # Errors
    ///
    /// Why it cannot start.
    pub async fn embedded(file: Option<&Path>) -> Result<Self, String> {
        let database = match file {
            None => Database::memory().map_err(|error| format!("the embedded DynamoDB does not start: {error}"))?,
            Some(file) => {
                let path = file.to_str().ok_or_else(|| format!("{} is no UTF-8 path", file.display()))?;
                let opened = Database::new(path).and_then(|database| sync::relax(&database).map(|()| database));
                opened.map_err(|error| format!("the database {path} cannot be opened: {error}"))?
            }
        };
        let failed = |error: std::io::Error| format!("the embedded DynamoDB cannot listen on 127.0.0.1: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(failed)?);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = database.clone();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, served, stopped).await {
                tracing::error!(error, "the embedded DynamoDB ended");
            }
        });
        let file = file.map(|file| (file.to_owned(), tokio::spawn(sync::run(file.to_owned()))));
        Ok(Self { endpoint, embedded: Some(Embedded { database, stop, task, file }) })
    }

    /// The configuration with which the store calls it. An embedded DynamoDB does not check credentials; others get
    /// those of the environment.
    #[must_use]
    pub fn config(&self) -> Builder {
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let credentials = Credentials::new(
            variable("AWS_ACCESS_KEY_ID", "local"),
            variable("AWS_SECRET_ACCESS_KEY", "local"),
            std::env::var("AWS_SESSION_TOKEN").ok(),
            None,
            "local",
        );
        let (region, endpoint) = (variable("AWS_REGION", "us-east-1"), self.endpoint.clone());
        let config = client::config(region, credentials, Some(endpoint.clone()), &TrustRoots::System);
        let Some(embedded) = &self.embedded else { return config };
        let http = client::http_client(Some(&endpoint), &TrustRoots::System);
        let config = config.allow_no_auth().auth_scheme_resolver(Unsigned);
        config.http_client(SharedHttpClient::new(InProcess::new(embedded.database.clone(), http)))
    }

    /// Over how many partitions a table that is created in it spreads its lists. One writer at a time is what an embedded one
    /// has; another may be a table in AWS.
    #[must_use]
    pub const fn list_shards(&self) -> ListShards {
        match self.embedded {
            Some(_) => ListShards::ONE,
            None => ListShards::EIGHT,
        }
    }

    /// What changes in a table of an embedded DynamoDB from now on.
    ///
    /// # Errors
    ///
    /// Where it is not embedded, or the table has no stream.
    pub fn changes(&self, table: &str) -> Result<Changes, String> {
        let embedded = self.embedded.as_ref().ok_or("only the embedded DynamoDB's changes can be read")?;
        Changes::of(embedded.database.clone(), table)
    }

    /// Stops an embedded DynamoDB. What it has written is on the disk then.
    pub async fn stop(self) {
        if let Some(Embedded { database, stop, task, file }) = self.embedded {
            drop(database);
            let _ = stop.send(());
            // A connection that never ends must not keep the process from ending.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), task).await;
            if let Some((file, syncing)) = file {
                syncing.abort();
                sync::now(&file);
            }
        }
    }
}
