//! What is told of limits of CAs.

use waxwing_core::budget::Limit;
use waxwing_core::ca::limits::LimitKind;

use super::*;
use crate::budget::Left;
use crate::tell::budgets::{Near, conditions, near};

#[test]
fn a_limit_is_told_near_its_end_and_is_over_when_half_of_it_is_there_again() {
    let of = |left: u32, limit: &str| {
        vec![Budget {
            subject: "first orders".to_owned(),
            left: Left {
                ca: ca("first"),
                kind: LimitKind::Orders,
                left,
                limit: Limit::parse(limit).expect("a literal limit"),
                until: None,
            },
        }]
    };
    let table = [
        (300, "300 per 3h", Near::Far),
        (150, "300 per 3h", Near::Between),
        (60, "300 per 3h", Near::At(1)),
        (0, "300 per 3h", Near::At(2)),
        (4, "5 per 7d", Near::Far),
        (2, "5 per 7d", Near::Between),
        (1, "5 per 7d", Near::At(1)),
        (1, "1 per 1d", Near::Far),
        (0, "1 per 1d", Near::At(2)),
    ];
    for (left, limit, want) in table {
        let budgets = of(left, limit);
        assert_eq!(
            near(&budgets, "first orders"),
            Some(want),
            "{left} of {limit}"
        );
        let told = conditions(&budgets).count();
        assert_eq!(told, usize::from(matches!(want, Near::At(_))));
    }
    assert_eq!(near(&[], "first orders"), None);
}
