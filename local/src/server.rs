//! The whole server: database, table, gateway, documentation.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use publish_events::Publisher;
use publish_events::bus::PAUSES;
use ratchet_http::cursor::CursorKey;
use ratchet_model::clock::SystemClock;
use ratchet_runtime::settings;
use ratchet_store::Store;
use ratchet_store::schema::TABLE_VARIABLE;
use tokio::net::TcpListener;

use crate::cors::{AllowedOrigin, Cors};
use crate::database::DynamoDb;
use crate::docs;
use crate::events::{self, Changes, Printer};
use crate::gateway::Gateway;
use crate::keys::{LocalKey, callers};
use crate::operations::Services;
use crate::supervision;

/// The table's name where the environment has none.
const TABLE: &str = "ratchet";

/// How to start the server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port to listen on; 0 picks one.
    pub port: u16,
    /// Where the executions are.
    pub data: Data,
    /// The keys that are known besides those in the table.
    pub keys: Vec<LocalKey>,
    /// Whose pages may call from a browser; none for nobody's.
    pub cors_origins: Vec<AllowedOrigin>,
    /// Whether each event of an execution is printed.
    pub events: bool,
}

/// Where the executions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// In memory.
    Memory,
    /// In a file.
    File(PathBuf),
    /// In a DynamoDB that runs already.
    At(String),
}

/// A server that is ready to serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    gateway: Arc<Gateway>,
    database: DynamoDb,
    table: String,
    /// Where it looks for overdue executions.
    supervised: Option<Store>,
    /// What it prints events of.
    changes: Option<Changes>,
}

impl Server {
    /// Binds the port, starts the database, and creates the table if it is missing.
    ///
    /// # Errors
    ///
    /// Why it cannot start, and what to do about it.
    pub async fn start(options: Options) -> Result<Self, String> {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await.map_err(|error| {
            format!(
                "port {} cannot be used ({error}): end what uses it, or choose another with --port N (0 picks a free \
                 one)",
                options.port
            )
        })?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let table = std::env::var(TABLE_VARIABLE).unwrap_or_else(|_| TABLE.to_owned());
        let database = match &options.data {
            Data::Memory => DynamoDb::embedded(None).await?,
            Data::File(file) => {
                DynamoDb::create_file(file, &table).await?;
                DynamoDb::embedded(Some(file)).await?
            }
            Data::At(endpoint) => DynamoDb::at(endpoint.clone()),
        };
        let store =
            Store::new(database.config(), table, Arc::new(SystemClock)).with_list_shards(database.list_shards());
        let created = store.create_table_if_missing().await;
        let store = created
            .map_err(|why| format!("no table can be created in the DynamoDB at {}: {why}", database.endpoint))?;
        let table = store.table().to_owned();
        let changes = if options.events {
            // Only then: its records are kept for as long as the database is.
            store.enable_stream().await.map_err(|why| format!("the table's stream cannot be switched on: {why}"))?;
            Some(database.changes(&table).map_err(|why| format!("--events: {why}"))?)
        } else {
            None
        };
        let default_timeout_seconds = settings::default_timeout_seconds().map_err(|error| error.to_string())?;
        let supervised = Some(store.clone());
        let services = Services { store, cursors: cursor_key()?, default_timeout_seconds };
        let gateway = Gateway::new(services, callers(&options.keys), Cors::new(options.cors_origins));
        Ok(Self { listener, address, gateway, database, table, supervised, changes })
    }

    /// A server of existing services, on a free port. It supervises nothing: whoever has the services may.
    ///
    /// # Errors
    ///
    /// Why it cannot listen.
    pub async fn around(services: Services, keys: &[LocalKey], database: DynamoDb) -> Result<Self, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let table = services.store.table().to_owned();
        let gateway = Gateway::new(services, callers(keys), Cors::default());
        Ok(Self { listener, address, gateway, database, table, supervised: None, changes: None })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its DynamoDB listens.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database.endpoint
    }

    /// The name of its table there.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Serves until `stop`, then waits for running requests.
    ///
    /// # Errors
    ///
    /// Why it cannot serve.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
        let supervision = self.supervised.map(|store| tokio::spawn(supervision::run(store)));
        let table = self.table;
        let events = self.changes.map(|changes| {
            tokio::spawn(async move {
                let printer = Printer::new(std::io::stdout());
                let publisher = Publisher { bus: Some(&printer), clock: &SystemClock, table: &table, pauses: &PAUSES };
                events::run(changes, publisher).await;
            })
        });
        let gateway = self.gateway;
        let router = Router::new().fallback(move |request: Request<Body>| {
            let gateway = gateway.clone();
            async move {
                match docs::answer(request.uri().path()) {
                    Some(response) => response,
                    None => gateway.answer(request).await,
                }
            }
        });
        axum::serve(self.listener, router).with_graceful_shutdown(stop).await.map_err(|error| error.to_string())?;
        if let Some(supervision) = supervision {
            supervision.abort();
        }
        if let Some(events) = events {
            events.abort();
        }
        self.database.stop().await;
        Ok(())
    }
}

/// The key of the environment, or a new one. With a new one, a walk by cursor does not outlive the server.
fn cursor_key() -> Result<CursorKey, String> {
    if let Ok(secret) = std::env::var(settings::CURSOR_KEY) {
        return Ok(CursorKey::new(secret.as_bytes()));
    }
    let mut secret = [0u8; 32];
    getrandom::fill(&mut secret).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(CursorKey::new(&secret))
}
