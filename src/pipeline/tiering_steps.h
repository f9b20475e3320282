// What the tiering rules read from the catalog, and the steps they take, each in one transaction.
#pragma once

#include <functional>

#include "pipeline/pipeline.h"

namespace quarry::pipeline {

// One collection as the rules see it.
struct TieringSight {
  catalog::Resource row;
  Collection collection;
  TieringState state;
  std::string internal_id;  // of its organization
  std::optional<HeldData> held;
};
Result<TieringSight> see_collection(catalog::Session& session, const catalog::Scope& scope, const std::string& collection_id,
                                    TimestampUs now);

bool is_move(TieringStep step);  // else it only announces, or takes that back

enum class TieringMoves { kAll, kNone };
// In the caller's transaction: sees the collection again and carries out what is due of it; `held` goes into the traces. A move that a
// batch holds up, and every move with kNone, is left out. Returns what was done; a move is then a task of the pipeline.
Result<std::vector<TieringAction>> take_tiering_steps(catalog::Session& session, const catalog::Scope& scope,
                                                      const std::string& collection_id, const std::optional<HeldData>& held,
                                                      TieringMoves moves, TimestampUs now);

// Every collection of the catalog that has rules, or an archive announced.
Status for_each_with_rules(catalog::Catalog& catalog, const std::function<Status(const catalog::Resource&)>& visit);

}  // namespace quarry::pipeline
