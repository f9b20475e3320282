// Whether a store keeps the one promise that commits stand on.
#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <thread>

#include "base/rng.h"
#include "objects/object_store.h"

namespace quarry::objects {
namespace {

constexpr size_t kRacers = 8;
constexpr size_t kRounds = 4;

Error not_atomic(const ObjectStore& store, std::string_view what) {
  return {ErrorKind::kUnavailable,
          fmt::format("{} does not keep put-if-absent ({}), so commits could overwrite each other and lose documents. Use a store that "
                      "honours 'If-None-Match: *' on PUT (docs/object_stores.md lists those tested), or upgrade this one, or leave "
                      "objects.url empty to keep objects in the data folder",
                      store.describe(), what)};
}

struct Race {
  std::vector<Status> outcomes;
  std::vector<size_t> winners;
};

std::string racer_bytes(size_t racer) { return fmt::format("probe of racer {}", racer); }

Race run_race(ObjectStore& store, const std::string& key) {
  Race race;
  race.outcomes.resize(kRacers, Status(Ok{}));
  std::barrier start(kRacers);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kRacers; ++i)
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      race.outcomes[i] = store.put_if_absent(key, racer_bytes(i));
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < kRacers; ++i)
    if (race.outcomes[i].ok()) race.winners.push_back(i);
  return race;
}

Status judge(ObjectStore& store, const std::string& key, const Race& race) {
  for (const Status& outcome : race.outcomes)
    if (!outcome.ok() && outcome.error().kind != ErrorKind::kAlreadyExists) return outcome;
  if (race.winners.size() != 1)
    return not_atomic(store, fmt::format("{} of {} writers that raced for one key were told that they won", race.winners.size(), kRacers));
  QUARRY_ASSIGN_OR_RETURN(std::string stored, store.get(key));
  if (stored == racer_bytes(race.winners[0])) return Ok{};
  return not_atomic(store, "after a race the key holds the bytes of a writer that was told it lost");
}

Status check_refusal(ObjectStore& store, const std::string& key) {
  QUARRY_RETURN_IF_ERROR(store.put(key, "first"));
  Status second = store.put_if_absent(key, "second");
  if (second.ok()) return not_atomic(store, "an object that existed was overwritten");
  if (second.error().kind != ErrorKind::kAlreadyExists) return second;
  QUARRY_ASSIGN_OR_RETURN(std::string stored, store.get(key));
  if (stored != "first") return not_atomic(store, "a refused put changed the object");
  QUARRY_ASSIGN_OR_RETURN(auto listed, store.list(key, "", 2));
  if (listed.size() == 1 && listed[0].key == key) return Ok{};
  return Error{ErrorKind::kUnavailable,
               fmt::format("{} does not list an object right after its put: such a store can't be used", store.describe())};
}

}  // namespace

Status probe_store(ObjectStore& store, std::string_view prefix) {
  const std::string folder = fmt::format("{}{}/", prefix, secure_token(12));
  Status outcome = check_refusal(store, folder + "existing");
  std::vector<std::string> keys{folder + "existing"};
  for (size_t round = 0; round < kRounds && outcome.ok(); ++round) {
    keys.push_back(fmt::format("{}race-{}", folder, round));
    outcome = judge(store, keys.back(), run_race(store, keys.back()));
  }
  Status cleaned = store.remove_many(keys);
  if (!outcome.ok() || cleaned.ok()) return outcome;
  return std::move(cleaned).error().with_context("removing what a check of the store had put");
}

}  // namespace quarry::objects
