//! Sample movements of bank customers: what `generate` writes and the demo produces. Balances follow from the
//! movements, so a withdrawal above the balance is really one.

use std::io;

use chrono::{DateTime, TimeDelta, Utc};

/// As many as data/accounts.csv has.
pub(super) const CUSTOMERS: u32 = 500;
/// Agencies of the sample bank.
const AGENCIES: u32 = 20;
/// One of this many movements is larger than the balance.
const OVERDRAFT_EVERY: u32 = 12;
/// The first movement's time: 2026-01-05 08:00:00 UTC, a Monday.
const FIRST_SECOND: i64 = 1_767_600_000;

/// An endless, repeatable sequence of movements.
#[derive(Debug)]
pub(super) struct Movements {
    random: fastrand::Rng,
    /// In cents, by customer, from customer 1.
    balances: Vec<i64>,
    time: DateTime<Utc>,
}

/// One movement, as the fields of schemas/customer.avsc.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Movement {
    pub customer: u32,
    pub agency: String,
    /// In cents.
    pub operation_value: i64,
    /// 0 is a deposit, 1 a withdrawal.
    pub operation_type: u8,
    pub date: String,
    /// In cents, before the movement.
    pub account_balance: i64,
}

impl Movements {
    pub fn new(customers: u32, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let balances = (0..customers.max(1)).map(|_| random.i64(0..500_000)).collect();
        let time = DateTime::from_timestamp(FIRST_SECOND, 0).unwrap_or_default();
        Self { random, balances, time }
    }

    pub fn next(&mut self) -> Movement {
        let random = &mut self.random;
        let index = random.usize(0..self.balances.len());
        let balance = self.balances[index];
        let is_withdrawal = random.bool();
        let is_overdraft = is_withdrawal && random.u32(0..OVERDRAFT_EVERY) == 0;
        let value = if is_overdraft {
            balance + random.i64(100..100_000)
        } else if is_withdrawal && balance > 200 {
            random.i64(100..balance)
        } else {
            random.i64(100..300_000)
        };
        let is_withdrawal = is_withdrawal && (is_overdraft || value <= balance);
        self.time += TimeDelta::seconds(random.i64(0..3));
        if !is_withdrawal {
            self.balances[index] += value;
        } else if value <= balance {
            self.balances[index] -= value;
        }
        let customer = u32::try_from(index).unwrap_or(u32::MAX - 1) + 1;
        Movement {
            customer,
            agency: format!("{:04}", customer % AGENCIES + 1),
            operation_value: value,
            operation_type: u8::from(is_withdrawal),
            date: self.time.format("%Y-%m-%d %H:%M:%S").to_string(),
            account_balance: balance,
        }
    }
}

impl Movement {
    pub fn write_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Self { customer, agency, operation_value, operation_type, date, account_balance } = self;
        write!(
            out,
            "{{\"customer\":{customer},\"agency\":\"{agency}\",\"operation_value\":{}.{:02},\
             \"operation_type\":{operation_type},\"date\":\"{date}\",\"account_balance\":{}.{:02}}}",
            operation_value / 100,
            operation_value % 100,
            account_balance / 100,
            account_balance % 100,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_movements_and_all_kinds_occur() {
        let take = |seed| {
            let mut movements = Movements::new(50, seed);
            (0..1000).map(|_| movements.next()).collect::<Vec<_>>()
        };
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
        let movements = take(7);
        let overdrafts =
            movements.iter().filter(|m| m.operation_type == 1 && m.operation_value > m.account_balance);
        assert!(overdrafts.count() > 10);
        assert!(movements.iter().filter(|m| m.operation_type == 0).count() > 100);
        assert!(movements.iter().all(|m| m.account_balance >= 0 && (1..=50).contains(&m.customer)));
    }
}
