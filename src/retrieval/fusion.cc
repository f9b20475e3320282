#include "retrieval/fusion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace quarry::retrieval {
namespace {

struct Spread {
  double low = 0, high = 0;
  double normalise(double score, double if_equal) const {
    return high > low ? std::clamp((score - low) / (high - low), 0.0, 1.0) : if_equal;
  }
};

Spread range_of(const RankedList& list) {
  auto by_score = [](const RankedHit& a, const RankedHit& b) { return a.score < b.score; };
  auto [low, high] = std::minmax_element(list.hits.begin(), list.hits.end(), by_score);
  return {low->score, high->score};
}

Spread three_sigma(const RankedList& list) {
  double n = static_cast<double>(list.hits.size());
  double mean = 0, squares = 0;
  for (const RankedHit& hit : list.hits) mean += hit.score / n;
  for (const RankedHit& hit : list.hits) squares += (hit.score - mean) * (hit.score - mean);
  double sigma = n > 1 ? std::sqrt(squares / (n - 1)) : 0;
  if (sigma < 1e-9 * std::max(1.0, std::abs(mean))) sigma = 0;  // rounding, not spread
  return {mean - 3 * sigma, mean + 3 * sigma};
}

void add_rrf(const RankedList& list, std::vector<double>& scores) {
  double rank = 0;
  for (const RankedHit& hit : list.hits) scores[hit.document] += list.weight / (kRrfConstant + ++rank);
}

void add_normalised(const RankedList& list, const Spread& spread, double if_equal, std::vector<double>& scores) {
  for (const RankedHit& hit : list.hits) scores[hit.document] += list.weight * spread.normalise(hit.score, if_equal);
}

std::vector<double> fuse_weighted(std::span<const RankedList> lists, size_t documents) {
  std::vector<double> scores(documents, 0.0);
  double weights = 0;
  for (const RankedList& list : lists) {
    weights += list.weight;
    if (!list.hits.empty()) add_normalised(list, range_of(list), 1.0, scores);
  }
  if (weights > 0)
    for (double& score : scores) score /= weights;
  return scores;
}

std::vector<double> fuse_max(std::span<const RankedList> lists, size_t documents) {
  std::vector<double> scores(documents, 0.0);
  std::vector<bool> seen(documents, false);
  for (const RankedList& list : lists) {
    for (const RankedHit& hit : list.hits) {
      double score = list.weight * hit.score;
      scores[hit.document] = seen[hit.document] ? std::max(scores[hit.document], score) : score;
      seen[hit.document] = true;
    }
  }
  return scores;
}

}  // namespace

Result<Fusion> parse_fusion(std::string_view name) {
  for (Fusion fusion : {Fusion::kRrf, Fusion::kDbsf, Fusion::kWeighted, Fusion::kMax})
    if (name == to_string(fusion)) return fusion;
  if (name == "learned") {
    return Error{ErrorKind::kNotImplemented, "fusion 'learned' is not available yet; use rrf, dbsf, weighted or max",
                 json::object{{"retryable", false}}};
  }
  return validation_error("enum", {"fusion"},
                          fmt::format("unknown fusion '{}'; known: rrf, dbsf, weighted, max, learned", name.substr(0, 100)));
}

std::string_view to_string(Fusion fusion) {
  switch (fusion) {
    case Fusion::kRrf: return "rrf";
    case Fusion::kDbsf: return "dbsf";
    case Fusion::kWeighted: return "weighted";
    case Fusion::kMax: return "max";
  }
  return "rrf";
}

std::vector<double> fuse(Fusion fusion, std::span<const RankedList> lists, size_t documents) {
  if (fusion == Fusion::kWeighted) return fuse_weighted(lists, documents);
  if (fusion == Fusion::kMax) return fuse_max(lists, documents);
  std::vector<double> scores(documents, 0.0);
  for (const RankedList& list : lists) {
    if (list.hits.empty()) continue;
    if (fusion == Fusion::kRrf) {
      add_rrf(list, scores);
    } else {
      add_normalised(list, three_sigma(list), 0.5, scores);
    }
  }
  return scores;
}

}  // namespace quarry::retrieval
