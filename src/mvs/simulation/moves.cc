// Everything that leaves the documents as they are: upkeep, moves between tiers, crashes, copies. And tables that come and go.
#include "mvs/simulation/simulation.h"
#include "mvs/table_copy.h"

namespace quarry::mvs::simulation {
namespace {

constexpr int kAttempts = 50;

}  // namespace

Status Simulation::create() {
  if (world_.power().is_failing()) QUARRY_RETURN_IF_ERROR(crash());
  world_.spec = test::full_spec();
  world_.spec.prefix = fmt::format("org/ns/table_{}", ++prefixes_);
  truth_ = {};
  behind_.clear();
  QUARRY_ASSIGN_OR_RETURN(const auto maker, world_.other_server());
  QUARRY_RETURN_IF_ERROR(maker->drop_table(kTable));  // other_server() knows it already
  QUARRY_RETURN_IF_ERROR(maker->create_table(world_.spec));
  note("create", Ok{});
  return restart();
}

Status Simulation::maintain() {
  const Status status = world_.server().maintain(kTable);
  if (!status.ok()) return tolerate("upkeep", status.error());
  note("upkeep", status);
  behind_.clear();
  return Ok{};
}

Status Simulation::move() {
  const Tier to = world_.spec.tier == Tier::kActive ? Tier::kCold : Tier::kActive;
  const std::string what = fmt::format("move to {}", to_string(to));
  const Status status = world_.server().set_tier(kTable, to);
  if (!status.ok()) QUARRY_RETURN_IF_ERROR(tolerate(what, status.error()));
  if (status.ok()) {
    note(what, status);
    world_.spec.tier = to;
  }
  if (world_.server().usage().at(0).tier != world_.spec.tier) return internal_error(what + ": it is served from the other tier");
  return Ok{};
}

Status Simulation::restart() {
  note("restart");
  behind_.clear();
  has_to_catch_up_ = false;
  return world_.boot();
}

Status Simulation::crash() {
  note("crash");
  behind_.clear();
  has_to_catch_up_ = false;
  return world_.crash();
}

// A copy that was made is whole and is served from then on; one that failed is whole or no table.
Status Simulation::restore_copy() {
  const std::string prefix = fmt::format("org/ns/table_{}", ++prefixes_);
  TableCopyOptions options{.table_id = kTable, .clock = &world_.clock()};
  if (source_.one_in(2)) options.rename = [](std::string_view id) { return std::string(id); };  // the files are written anew
  const auto copied = copy_table(world_.network(), world_.spec.prefix, prefix, options);
  if (!copied.ok()) {
    QUARRY_RETURN_IF_ERROR(tolerate("copy", copied.error()));
    if (world_.power().is_off()) QUARRY_RETURN_IF_ERROR(crash());
    return check_copy(prefix, true);
  }
  note("copy", Ok{});
  if (copied->documents != truth_.documents().size())
    return internal_error(fmt::format("a copy of {} documents has {}", truth_.documents().size(), copied->documents));
  if (world_.power().is_off()) QUARRY_RETURN_IF_ERROR(crash());
  QUARRY_RETURN_IF_ERROR(check_copy(prefix, false));
  world_.spec.prefix = prefix;
  return restart();
}

Status Simulation::check_copy(const std::string& prefix, bool may_be_absent) {
  const std::string served = std::exchange(world_.spec.prefix, prefix);
  auto found = world_.on_disk();
  world_.spec.prefix = served;
  if (!found.ok() && may_be_absent && found.error().kind == ErrorKind::kNotFound) return Ok{};
  if (!found.ok()) return std::move(found).error().with_context("reading a copy");
  if (const auto fault = fault_of(everything(), *found, truth_)) return internal_error("a copy holds something else: " + *fault);
  return Ok{};
}

// Whatever fails meanwhile, in the end nothing is left; a new table begins elsewhere.
Status Simulation::archive() {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Status dropped = world_.server().drop_table(kTable);
    if (dropped.ok()) {
      note("archive", dropped);
      if (world_.files_below(world_.spec.prefix) > 0) return internal_error("an archived table left files");
      return create();
    }
    QUARRY_RETURN_IF_ERROR(tolerate("archive", dropped.error()));
    if (world_.power().is_off() || source_.one_in(4)) QUARRY_RETURN_IF_ERROR(crash());
  }
  return internal_error("an archive never ended");
}

}  // namespace quarry::mvs::simulation
