//! Claims about another config while the store is in use.

use super::*;

impl Bench {
    fn go_on(&mut self, modules: &[ModulePlan], ttl: u64, now: u64) {
        let plan = StorePlan { ttl: Duration::from_millis(ttl), ..self.store.plan };
        self.store.reconfigure(plan, modules.iter().copied(), ms(now), &mut self.effects);
    }
}

fn plan_of(store: &Store, n: u8) -> ModulePlan {
    store.modules.get(serial(n)).unwrap().plan
}

#[test]
fn a_module_that_is_gone_is_forgotten_and_its_readers_are_told() {
    let mut bench = Bench::up();
    bench.answer([true; 4], 10, 60);
    let known = bench.now(point(1, 0), Want::Any, 100);
    let waits = bench.later(point(2, 0), Want::Known, 100);
    let ttl = bench.store.plan.ttl.as_millis() as u64;
    let stays = [plan_of(&bench.store, 1)];
    bench.effects.clear();
    bench.go_on(&stays, ttl, 110);
    assert_eq!(bench.answers(), [(waits, Err(BusError::Refused))]);
    assert_eq!(bench.read(point(2, 0), Want::Any, 120), Outcome::Now(Err(BusError::Refused)));
    assert_eq!(bench.now(point(1, 0), Want::Any, 120), known, "who stays stays as he was");
    assert_eq!(bench.store.len(), 4);
    // Its reply may still come; it means nobody.
    bench.level(0, 40, 100, 130);
    assert_eq!(bench.store.len(), 4);
}

#[test]
fn a_module_that_changes_keeps_no_value_and_a_new_one_is_behind_its_link() {
    let mut bench = Bench::up();
    bench.answer([true; 4], 10, 60);
    let fewer = ModulePlan { outputs: 2, ..plan_of(&bench.store, 1) };
    let new = ModulePlan { serial: serial(7), ..fewer };
    let ttl = bench.store.plan.ttl.as_millis() as u64;
    bench.go_on(&[fewer, new], ttl, 100);
    assert!(bench.store.is_empty());
    bench.later(point(1, 0), Want::Known, 110);
    bench.later(point(7, 0), Want::Known, 110);
    let asked = |effect: &Effect| matches!(effect, Effect::Fetch { serial: of, .. } if *of == serial(7));
    assert!(bench.effects.iter().any(asked), "the link is known to be up");
}

#[test]
fn another_ttl_is_told_and_rings_at_its_own_time() {
    let mut bench = Bench::up();
    bench.answer([true; 4], 10, 60);
    let modules = [plan_of(&bench.store, 1), plan_of(&bench.store, 2)];
    let changed = |bench: &mut Bench| {
        let effects = std::mem::take(&mut bench.effects);
        effects.iter().filter(|effect| matches!(effect, Effect::Changed { .. })).count()
    };
    bench.effects.clear();
    bench.go_on(&modules, 1_000, 5_000);
    assert_eq!(changed(&mut bench), 4, "stale at once");
    bench.go_on(&modules, 20_000, 6_000);
    assert_eq!(changed(&mut bench), 4, "fresh again");
    bench.due(19_000);
    assert_eq!(changed(&mut bench), 0);
    bench.due(20_100);
    assert_eq!(changed(&mut bench), 4);
    bench.go_on(&modules, 20_000, 21_000);
    assert_eq!(changed(&mut bench), 0, "the same is no change");
}
