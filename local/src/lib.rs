//! The development server: the same functions as in AWS, behind a local API Gateway, with DynamoDB embedded.
//!
//! | module | responsibility |
//! | --- | --- |
//! | `gateway` | HTTP to payload-2.0 events and back, as API Gateway does it, its own answers included |
//! | `cors` | which pages of other origins may call, as API Gateway says it to browsers |
//! | `console` | the web console's routes |
//! | `operations` | one line per function: the route table, and the paths of the OpenAPI document |
//! | `keys` | the API keys of the command line |
//! | `database` | the embedded DynamoDB, or another one |
//! | `docs` | `/openapi.json` and `/docs` |
//! | `events` | the table's stream: prints what is told of executions |
//! | `supervision` | the schedule: looks for overdue executions each second |
//! | `sync` | when what is written reaches the disk |
//! | `server` | starts all of these together |

pub mod console;
pub mod cors;
pub mod database;
pub mod docs;
pub mod events;
pub mod gateway;
mod in_process;
pub mod keys;
pub mod openapi;
pub mod operations;
pub mod server;
mod supervision;
mod sync;
