#include "mvs/simulation/simulation.h"

namespace quarry::mvs::simulation {

Status Simulation::run(int steps) {
  note(world_.describe());
  QUARRY_RETURN_IF_ERROR(create());
  for (int i = 0; i < steps; ++i) {
    QUARRY_RETURN_IF_ERROR(step());
    if (world_.power().is_off()) QUARRY_RETURN_IF_ERROR(crash());
  }
  QUARRY_RETURN_IF_ERROR(crash());
  QUARRY_RETURN_IF_ERROR(check_disk());
  return ask(everything());
}

Status Simulation::step() {
  static constexpr int64_t kPauses[] = {1'000, 1'000, 1'000'000, 120'000'000, 1'200'000'000};
  world_.clock().advance_us(kPauses[source_.below(std::size(kPauses))]);
  switch (source_.below(32)) {
    case 0: return erase_matching();
    case 1:
    case 2: return write_transaction();
    case 3: return rival();
    case 4: return extend();
    case 5:
    case 6:
    case 7: return maintain();
    case 8:
    case 9: return move();
    case 10: return restart();
    case 11:
    case 12: {
      const uint64_t requests = source_.below(60);
      note(fmt::format("the power goes in {} requests", requests));
      world_.power().fail_after(requests);
      return Ok{};
    }
    case 13: return restore_copy();
    case 14: return source_.one_in(4) ? archive() : crash();
    case 15:
    case 16:
    case 17:
    case 18:
    case 19:
    case 20:
    case 21: return ask(draw_question(source_, world_.has_indexes()));
    default: return write_batch("write", draw_batch(source_));
  }
}

void Simulation::note(std::string what) { trace_.push_back(std::move(what)); }

void Simulation::note(std::string_view what, const Status& status) {
  note(fmt::format("{}: {}", what, status.ok() ? "ok" : status.error().message));
}

Status Simulation::tolerate(std::string_view what, const Error& error) {
  note(what, error);
  if (!World::is_to_blame(error)) return internal_error(fmt::format("{} failed: {}", what, error.message));
  return Ok{};
}

Status Simulation::ask(const Question& question) {
  const auto got = question.ask(world_.server());
  if (!got.ok()) return tolerate(question.what, got.error());
  note(question.what, Ok{});
  const auto fault = fault_of(question, *got, truth_);
  const bool is_behind =
      std::any_of(behind_.begin(), behind_.end(), [&](const Oracle& o) { return !fault_of(question, *got, o).has_value(); });
  if (fault && !is_behind) return internal_error("wrong answer: " + *fault);
  if (!is_behind) behind_.clear();
  return Ok{};
}

Status Simulation::check_disk() {
  auto found = world_.on_disk();
  if (!found.ok()) return std::move(found).error().with_context("reading the disk");
  if (const auto fault = fault_of(everything(), *found, truth_)) return internal_error("the disk holds something else: " + *fault);
  return Ok{};
}

}  // namespace quarry::mvs::simulation
