// A server of tables that meets every fault a machine and a network have, mirrored in a plain map. For tests only.
//
// Invariants held after every step. What a write was acknowledged for is on the disk and in every later answer. A write that failed took
// place whole or not at all: the disk is read at once, and what it says stands from then on; only the server itself may go on answering
// as before, until it has followed the log. No read fails but by the faults themselves, and each answers as the map does.
#pragma once

#include "mvs/simulation/world.h"

namespace quarry::mvs::simulation {

class Simulation {
 public:
  explicit Simulation(uint64_t seed) : source_(seed), world_(source_) {}

  // Makes the table, then does `steps` things at random. The error says what was broken.
  Status run(int steps);
  // Everything that was done, a line each.
  const std::vector<std::string>& trace() const { return trace_; }

 private:
  using Change = std::function<WriteResult(Oracle&)>;
  using Write = std::function<Result<WriteResult>()>;

  Status step();
  void note(std::string what);
  void note(std::string_view what, const Status& status);
  // Passes faults of the world's making; everything else is the server's fault.
  Status tolerate(std::string_view what, const Error& error);

  // changes.cc
  Status change(std::string_view what, const Write& write, const Change& apply);
  Result<bool> settle(std::string_view what, Oracle after);  // whether it took place
  Status write_batch(std::string_view what, WriteBatch batch);
  Status erase_matching();
  Status write_transaction();
  Status rival();
  Status extend();

  // moves.cc
  Status create();
  Status maintain();
  Status move();
  Status restart();
  Status crash();
  Status restore_copy();
  Status archive();
  Status check_copy(const std::string& prefix, bool may_be_absent);

  Status ask(const Question& question);
  Status check_disk();

  test::DocumentSource source_;
  World world_;
  Oracle truth_;                // what the disk holds
  std::vector<Oracle> behind_;  // what the server may still answer from
  bool has_to_catch_up_ = false;  // another server wrote, and this one has not met it
  int64_t txn_version_ = 0;
  int prefixes_ = 0;
  std::vector<std::string> trace_;
};

}  // namespace quarry::mvs::simulation
