//! Customers that nobody has met, and what they buy: the same from the same seed.

use serde_json::{Value, json};

const NAMES: [&str; 12] = [
    "Ada Lindqvist",
    "Bruno Keller",
    "Chiara Moretti",
    "Daan Visser",
    "Elif Kaya",
    "Freya Olsen",
    "Gaspard Roux",
    "Hanna Nowak",
    "Ines Carvalho",
    "Jonas Huber",
    "Klara Svoboda",
    "Liam Byrne",
];
/// Street, postal code, city, country.
const PLACES: [(&str, &str, &str, &str); 8] = [
    ("Lindenallee", "10405", "Berlin", "DE"),
    ("Hafenstrasse", "20457", "Hamburg", "DE"),
    ("Neubaugasse", "1070", "Wien", "AT"),
    ("Seefeldstrasse", "8008", "Zurich", "CH"),
    ("Rue Oberkampf", "75011", "Paris", "FR"),
    ("Via Garibaldi", "10122", "Torino", "IT"),
    ("Prinsengracht", "1016", "Amsterdam", "NL"),
    ("Vesterbrogade", "1620", "Kobenhavn", "DK"),
];
/// The products that the shop has plenty of, `prod_001` to this one; most wanted first.
const PRODUCTS: u64 = 22;
const CUSTOMERS: u64 = 400;

#[derive(Debug)]
pub struct Shoppers {
    chance: Chance,
    seed: u64,
    declines: u8,
    count: u64,
}

impl Shoppers {
    pub fn new(seed: u64, declines: u8) -> Self {
        Shoppers { chance: Chance(seed), seed, declines, count: 0 }
    }

    /// An order, and a key that is this order's and this run's.
    pub fn next(&mut self) -> (Value, String) {
        self.count += 1;
        let chance = &mut self.chance;
        // The same customer is always the same person, who lives somewhere.
        let customer = chance.below(CUSTOMERS);
        let mut person = Chance(customer);
        let name = person.one_of(&NAMES);
        let (street, postal_code, city, country) = person.one_of(&PLACES);
        let street = format!("{street} {}", 1 + person.below(120));
        // Mostly one thing, seldom more than three.
        let mut products: Vec<u64> = Vec::new();
        for _ in 0..=chance.below(4).min(chance.below(4)) {
            // The lesser of two: some products are wanted more than others.
            let product = 1 + chance.below(PRODUCTS).min(chance.below(PRODUCTS));
            if !products.contains(&product) {
                products.push(product);
            }
        }
        let items = products.into_iter().map(|product| {
            let quantity = 1 + chance.below(3).min(chance.below(3));
            json!({ "product_id": format!("prod_{product:03}"), "quantity": quantity })
        });
        let items: Vec<_> = items.collect();
        let declined = self.chance.below(100) < u64::from(self.declines);
        let order = json!({
            "customer_id": format!("cust_{customer:03}"),
            "items": items,
            "payment_method": if declined { "card_declined" } else { "card_ok" },
            "ship_to": { "name": name, "street": street, "postal_code": postal_code,
                         "city": city, "country": country },
        });
        // A run of the same seed is another run: its orders are new ones.
        let key = format!("load-{}-{}-{}", self.seed, self.count, uuid::Uuid::new_v4());
        (order, key)
    }
}

/// `SplitMix64`: repeatable everywhere, and good enough for shopping.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let place = usize::try_from(self.below(all.len() as u64)).unwrap_or_default();
        all[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(seed: u64, declines: u8) -> Vec<Value> {
        let mut shoppers = Shoppers::new(seed, declines);
        (0..2_000).map(|_| shoppers.next().0).collect()
    }

    #[test]
    fn the_same_seed_buys_the_same_and_another_one_something_else() {
        assert_eq!(orders(7, 10), orders(7, 10));
        assert_ne!(orders(7, 10), orders(8, 10));
    }

    #[test]
    fn about_as_many_cards_are_declined_as_was_asked_for() {
        for (declines, expected) in [(0, 0..=0), (10, 150..=250), (100, 2_000..=2_000)] {
            let orders = orders(1, declines);
            let declined =
                orders.iter().filter(|order| order["payment_method"] == "card_declined").count();
            assert!(expected.contains(&declined), "{declines} %: {declined} of 2000");
        }
    }

    #[test]
    fn baskets_are_ones_that_the_shop_takes() {
        for order in orders(3, 10) {
            let items = order["items"].as_array().unwrap();
            assert!((1..=4).contains(&items.len()), "{order}");
            let mut products: Vec<_> =
                items.iter().map(|item| item["product_id"].as_str().unwrap()).collect();
            products.sort_unstable();
            products.dedup();
            assert_eq!(products.len(), items.len(), "{order}");
        }
    }
}
