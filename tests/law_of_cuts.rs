//! The law of cuts over the shipped SQL: rows of append outputs and the final state do not depend on how the messages
//! were cut into batches, and they are what an independent calculation, one message after the other, gives.

mod support;

use std::collections::BTreeMap;

use realtime_processor::batch::Messages;
use realtime_processor::source::ReplaySource;
use support::{Project, Recorder, encoder};

const CUSTOMERS: i32 = 50;
const PARTITIONS: i32 = 4;

/// One movement of a customer; amounts in cents.
#[derive(Clone, Debug)]
struct Movement {
    customer: i32,
    value: i64,
    is_withdrawal: bool,
    balance: i64,
    date: String,
}

/// Random movements in the order in which they arrive.
fn movements(count: usize, seed: u64) -> Vec<Movement> {
    let mut random = fastrand::Rng::with_seed(seed);
    let movement = |number: usize| Movement {
        customer: random.i32(0..CUSTOMERS),
        value: random.i64(1..100_000),
        is_withdrawal: random.bool(),
        balance: random.i64(0..100_000),
        date: format!("2026-03-01 {:02}:{:02}:{:02}", number / 3600 % 24, number / 60 % 60, number % 60),
    };
    (0..count).map(movement).collect()
}

/// The messages, keyed by customer, and the places in them in the order of arrival.
fn recording(movements: &[Movement]) -> (Messages, Vec<usize>) {
    let encode = encoder("schemas/customer.avsc".as_ref());
    let mut recorder = Recorder::new("customer_movements");
    for movement in movements {
        let payload = encode(&serde_json::json!({
            "customer": movement.customer,
            "agency": "0001",
            "operation_value": movement.value as f64 / 100.0,
            "operation_type": i32::from(movement.is_withdrawal),
            "date": movement.date,
            "account_balance": movement.balance as f64 / 100.0,
        }));
        let key = movement.customer.to_string();
        recorder.push_with(movement.customer % PARTITIONS, Some(key.as_bytes()), Some(&payload), &[]);
    }
    recorder.arriving()
}

/// What a job leaves: the rows of both outputs, and state.
#[derive(Debug, PartialEq)]
struct Outcome {
    classified: Vec<String>,
    reactions: Vec<String>,
    state: Vec<String>,
}

const CLASSIFIED: &str = "SELECT kafka_partition, kafka_offset, customer, movements_before, refused_in_a_row_before, \
    previous_movement, previous_balance, coalesce(reaction, '') LIKE '%unavailable%' AS refused \
    FROM classified_movements ORDER BY 1, 2";
const STATE: &str = "SELECT customer, movements, deposits, deposited, withdrawals, withdrawn, refused, refused_in_a_row, \
    last_movement, last_balance FROM account_state ORDER BY customer";

async fn outcome(movements: &[Movement], sizes: Vec<usize>) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Project::shipped(&folder.path().join("out.db"));
    let (messages, arrival) = recording(movements);
    support::run(&config, ReplaySource::arriving(messages, arrival, sizes)).await.expect("done");
    Outcome {
        classified: support::rows(&config, CLASSIFIED).await,
        reactions: support::rows(&config, "SELECT * FROM reactions ORDER BY 1, 2, 3, 7").await,
        state: support::rows(&config, STATE).await,
    }
}

/// What is known of a customer, kept one movement after the other.
#[derive(Clone, Default)]
struct Account {
    movements: i64,
    deposits: i64,
    deposited: i64,
    withdrawals: i64,
    withdrawn: i64,
    refused: i64,
    refused_in_a_row: i64,
    last: Option<(String, i64)>,
}

fn cents(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A number as SQLite gives a double: `12.0`, `12.3`, `12.34`.
fn double(cents: i64) -> String {
    format!("{:?}", cents as f64 / 100.0)
}

/// The same rows and state from a calculation without SQL, batches or Arrow.
fn calculated(movements: &[Movement]) -> (Vec<String>, Vec<String>) {
    let mut accounts: BTreeMap<i32, Account> = BTreeMap::new();
    let mut next = [0_i64; PARTITIONS as usize];
    let mut rows = Vec::new();
    for movement in movements {
        let account = accounts.entry(movement.customer).or_default();
        let partition = movement.customer % PARTITIONS;
        let offset = next[partition as usize];
        next[partition as usize] += 1;
        let is_refused = movement.is_withdrawal && movement.value > movement.balance;
        let (date, balance) = match &account.last {
            Some((date, balance)) => (date.clone(), double(*balance)),
            None => (String::new(), String::new()),
        };
        let (customer, before, in_a_row) = (movement.customer, account.movements, account.refused_in_a_row);
        let row = format!(
            "{partition},{offset},{customer},{before},{in_a_row},{date},{balance},{}",
            i32::from(is_refused)
        );
        rows.push(((partition, offset), row));
        account.movements += 1;
        match (movement.is_withdrawal, is_refused) {
            (false, _) => {
                account.deposits += 1;
                account.deposited += movement.value;
            }
            (true, true) => {
                account.refused += 1;
                account.refused_in_a_row += 1;
            }
            (true, false) => {
                account.withdrawals += 1;
                account.withdrawn += movement.value;
                account.refused_in_a_row = 0;
            }
        }
        account.last = Some((movement.date.clone(), movement.balance));
    }
    rows.sort();
    let state = accounts.iter().map(|(customer, account)| {
        let Account {
            movements,
            deposits,
            deposited,
            withdrawals,
            withdrawn,
            refused,
            refused_in_a_row,
            last,
        } = account;
        let (date, balance) = last.clone().expect("it has moved");
        format!(
            "{customer},{movements},{deposits},{},{withdrawals},{},{refused},{refused_in_a_row},{date},{}",
            cents(*deposited),
            cents(*withdrawn),
            double(balance)
        )
    });
    (rows.into_iter().map(|(_, row)| row).collect(), state.collect())
}

async fn assert_law(count: usize, cuts: usize, seed: u64) {
    let movements = movements(count, seed);
    let whole = outcome(&movements, vec![count]).await;
    let (rows, state) = calculated(&movements);
    assert_eq!(whole.classified, rows, "one batch against the calculation");
    assert_eq!(whole.state, state, "one batch against the calculation");
    assert!(whole.reactions.len() > count / 8, "there are reactions");

    assert!(outcome(&movements, vec![1]).await == whole, "one message at a time, seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..cuts {
        let largest = 1 << random.u32(4..14);
        let sizes: Vec<usize> = (0..count).map(|_| random.usize(1..largest)).collect();
        assert!(outcome(&movements, sizes.clone()).await == whole, "seed {seed}, batches of {sizes:?}");
    }
}

#[tokio::test]
async fn rows_and_state_do_not_depend_on_where_batches_are_cut() {
    assert_law(400, 5, 7).await;
}

/// The long form: minutes without optimisation.
#[tokio::test]
#[ignore = "long: run it with --release"]
async fn rows_and_state_do_not_depend_on_where_batches_are_cut_long() {
    assert_law(10_000, 100, 11).await;
}
