//! Over how many partitions a table spreads its lists: eight in DynamoDB, one in the development server's embedded one. Nobody who
//! calls can tell.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use local::database::DynamoDb;
use ratchet_model::clock::SystemClock;
use ratchet_model::list::{Filter, ListQuery, Start, View};
use ratchet_model::scope::Scopes;
use ratchet_model::status::Status;
use ratchet_store::Store;
use ratchet_store::table_keys::ListShards;
use serde_json::{Value, json};
use tests::watch::Watch;
use tests::{ORGANIZATION, caller, new_execution, patient, write_directly};

const MADE: usize = 40;

/// The store of a table, as whoever creates tables with so many shards opens it.
async fn open(database: &DynamoDb, table: &str, list_shards: ListShards, watch: Watch) -> Store {
    let config = patient(database.config()).interceptor(watch);
    let store = Store::new(config, table, Arc::new(SystemClock)).with_list_shards(list_shards);
    store.create_table_if_missing().await.expect("a table")
}

/// Executions of two flows, in four statuses.
async fn fill(store: &Store) {
    let maker = caller(ORGANIZATION, "maker", Scopes::ALL);
    for number in 0..MADE {
        let made = store.create(&maker, &new_execution(["odd", "even"][number % 2])).await.expect("an execution");
        let id = made.execution.id.to_string();
        for status in [&[][..], &["running"], &["running", "completed"], &["queued"]][number % 4] {
            write_directly(store, &id, &json!({ "status": status })).await;
        }
    }
}

fn query(filter: &Filter, page_size: usize, count_limit: usize) -> ListQuery {
    ListQuery { filter: filter.clone(), start: Start::Beginning, page_size, count_limit, view: View::Summary }
}

/// What a walk shows of each execution but its id, and the count with which it began.
async fn walk(store: &Store, filter: &Filter, count_limit: usize) -> (Vec<Value>, Option<u32>) {
    let reader = caller(ORGANIZATION, "reader", Scopes::ALL);
    let mut query = query(filter, 7, count_limit);
    let (mut shown, mut total) = (Vec::new(), None);
    for number in 1.. {
        let page = store.list(&reader, &query).await.expect("a page");
        assert_eq!(page.page, number);
        if number == 1 {
            total = page.total_count;
        }
        for execution in &page.executions {
            let execution: Value = serde_json::from_str(execution.get()).expect("JSON");
            shown.push(json!([execution["flow_id"], execution["execution_number"], execution["status"]]));
        }
        match page.next {
            Some(next) => query.start = Start::Cursor(next),
            None => break,
        }
    }
    (shown, total)
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counts_are_the_same_in_one_shard_as_in_eight() {
    let database = DynamoDb::embedded(None).await.expect("an embedded DynamoDB");
    let eight = open(&database, "eight", ListShards::EIGHT, Watch::default()).await;
    let one = open(&database, "one", ListShards::ONE, Watch::default()).await;
    for store in [&eight, &one] {
        fill(store).await;
    }
    let statuses = |statuses: &[Status]| Filter { status: statuses.iter().copied().collect(), ..Filter::default() };
    let flow = |flow_id: &str| Filter { flow_id: Some(flow_id.to_owned()), ..Filter::default() };
    let filters = [
        (Filter::default(), MADE),
        (statuses(&[Status::Pending]), MADE / 4),
        (statuses(&[Status::Running, Status::Completed]), MADE / 2),
        (statuses(&[Status::Failed]), 0),
        (flow("odd"), MADE / 2),
        (Filter { status: BTreeSet::from([Status::Queued]), ..flow("even") }, MADE / 4),
        (Filter { status: BTreeSet::from([Status::Queued]), ..flow("odd") }, 0),
    ];
    for (filter, expected) in &filters {
        for count_limit in [0, 9, 1_000] {
            let (listed, counted) = walk(&eight, filter, count_limit).await;
            assert_eq!((listed.clone(), counted), walk(&one, filter, count_limit).await, "{filter:?} {count_limit}");
            assert_eq!(listed.len(), *expected, "{filter:?}");
            let exact = u32::try_from(*expected.min(&count_limit)).ok().filter(|_| count_limit > 0);
            assert_eq!(counted, exact, "{filter:?} {count_limit}");
        }
    }
    database.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_one_shard_is_two_requests_and_a_third_where_it_counts() {
    let database = DynamoDb::embedded(None).await.expect("an embedded DynamoDB");
    let watch = Watch::default();
    let store = open(&database, "one", ListShards::ONE, watch.clone()).await;
    fill(&store).await;
    let reader = caller(ORGANIZATION, "reader", Scopes::ALL);
    for (count_limit, expected) in
        [(0, &["Query", "BatchGetItem"][..]), (1_000, &["Query", "Query", "BatchGetItem"][..])]
    {
        let _ = watch.requests();
        store.list(&reader, &query(&Filter::default(), 20, count_limit)).await.expect("a page");
        let mut requests = watch.requests();
        requests.sort_by(|one, other| other.cmp(one));
        assert_eq!(requests, expected, "count_limit={count_limit}");
    }
    database.stop().await;
}

/// As the development server opens its file, and whoever else opens its table.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_keeps_the_shards_with_which_it_was_created() {
    let file = std::env::temp_dir().join(format!("ratchet-list-shards-{}.db", uuid::Uuid::new_v4()));
    let everything = Filter::default();
    for (round, opens_with) in [ListShards::EIGHT, ListShards::ONE, ListShards::EIGHT].into_iter().enumerate() {
        let database = DynamoDb::embedded(Some(Path::new(&file))).await.expect("an embedded DynamoDB");
        // One is created before a server knew of shards, the other by one that does.
        for (table, created_with) in [("before", ListShards::EIGHT), ("now", ListShards::ONE)] {
            let opens_with = if round == 0 { created_with } else { opens_with };
            let store = open(&database, table, opens_with, Watch::default()).await;
            assert_eq!(store.list_shards(), created_with, "{table}, opened with {opens_with:?}");
            fill(&store).await;
            let (listed, counted) = walk(&store, &everything, 1_000).await;
            assert_eq!(listed.len(), MADE * (round + 1), "{table}");
            assert_eq!(counted, u32::try_from(listed.len()).ok(), "{table}");
        }
        database.stop().await;
    }
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
}
