#include "mvs/text/segment_scan.h"

#include <algorithm>
#include <bit>
#include <cfloat>

namespace quarry::mvs {
namespace {

// Postings of a window from which on whole arrays are added rather than single rows.
constexpr size_t kDensePostings = 768;

}  // namespace

SegmentScan::SegmentScan(const SegmentView& view, std::vector<WordList>& lists, const Bitmap* rows, const ScanQuery& query)
    : view_(view),
      lists_(lists),
      rows_(rows),
      query_(query),
      slack_(1 + float(lists.size() + 8) * 2.4e-7f),
      scores_(lists.size() * kWindow),
      positions_(query.words->words.size()) {}

bool SegmentScan::run(const std::function<float()>& threshold, const std::function<void(const ScoredRow&)>& offer,
                      const std::function<bool()>& expired) {
  current_threshold_ = &threshold;
  offer_ = &offer;
  const auto rows = uint32_t(view_.segment->rows());
  for (uint32_t begin = 0; begin < rows; begin += std::min<uint32_t>(kWindow, rows - begin)) {
    if (expired()) return false;
    threshold_ = std::max(threshold(), query_.min_score);
    scan_window(begin, std::min<uint32_t>(rows - begin, kWindow) + begin);
  }
  return true;
}

void SegmentScan::scan_window(uint32_t begin, uint32_t end) {
  if (!find_active(begin, end)) return;
  choose_leaders();
  if (leaders_ == 0) return;
  collect_candidates(begin, end);
  float rest = 0;
  for (size_t i = leaders_; i < active_.size(); ++i) rest += active_[i].bound;
  looked_up_.clear();
  if (leaders_ < active_.size())
    for (const Candidate& c : candidates_) looked_up_.push_back(c.offset);
  const bool all_words = query_.match != TextQuery::Match::kAny;
  for (size_t i = leaders_; i < active_.size() && !candidates_.empty(); ++i) {
    const size_t word = lists_[active_[i].list].word();
    if (all_words && lists_[active_[i - 1].list].word() != word)
      for (Candidate& c : candidates_) c.has_word = false;
    rest -= active_[i].bound;
    look_up(active_[i], std::max(rest, 0.0f), begin);
    const bool word_ends = i + 1 == active_.size() || lists_[active_[i + 1].list].word() != word;
    if (all_words && word_ends) std::erase_if(candidates_, [](const Candidate& c) { return !c.has_word; });
  }
  finish_candidates(begin);
  clear_window();
}

// The lists that have rows in the window; false if no row can be a hit.
bool SegmentScan::find_active(uint32_t begin, uint32_t end) {
  active_.clear();
  float total = 0;
  for (size_t l = 0; l < lists_.size(); ++l) {
    if (!lists_[l].enter(begin, end)) continue;
    active_.push_back({l, lists_[l].window_bound()});
    total += lists_[l].window_bound();
  }
  if (active_.empty() || !can_win(total)) return false;
  if (query_.match == TextQuery::Match::kAny) return true;
  std::vector<bool> words(query_.words->words.size());
  for (const Active& a : active_) words[lists_[a.list].word()] = true;
  return std::find(words.begin(), words.end(), false) == words.end();
}

// Any word: the fewest lists without which no row can win. All words: the lists of the rarest word.
void SegmentScan::choose_leaders() {
  if (query_.match == TextQuery::Match::kAny) {
    std::sort(active_.begin(), active_.end(), [](const Active& a, const Active& b) { return a.bound > b.bound; });
    float below = 0;
    leaders_ = active_.size();
    while (leaders_ > 0 && !can_win(below + active_[leaders_ - 1].bound)) below += active_[--leaders_].bound;
    return;
  }
  std::vector<uint64_t> df(query_.words->words.size());
  for (const Active& a : active_) df[lists_[a.list].word()] += lists_[a.list].window_postings();
  std::stable_sort(active_.begin(), active_.end(), [&](const Active& a, const Active& b) {
    const size_t x = lists_[a.list].word(), y = lists_[b.list].word();
    return df[x] != df[y] ? df[x] < df[y] : x < y;
  });
  leaders_ = 1;
  while (leaders_ < active_.size() && lists_[active_[leaders_].list].word() == lists_[active_[0].list].word()) ++leaders_;
}

void SegmentScan::add_leader(const Active& leader, float others, uint32_t begin, uint32_t end) {
  float* scores = scores_of(leader.list);
  // A row that is missed here because its block can't win scores less than it should, and loses all the same.
  const float least = threshold_ / slack_ - others;
  lists_[leader.list].for_each_block(least, [&](const uint32_t* rows, const float* block_scores, size_t count) {
    size_t first = 0, last = count;
    if (rows[0] < begin) first = size_t(std::lower_bound(rows, rows + count, begin) - rows);
    if (rows[count - 1] >= end) last = size_t(std::lower_bound(rows + first, rows + count, end) - rows);
    for (size_t i = first; i < last; ++i) scores[rows[i] - begin] = block_scores[i];
    if (dense_) return;
    for (size_t i = first; i < last; ++i) found_[(rows[i] - begin) / 64] |= uint64_t{1} << ((rows[i] - begin) % 64);
  });
}

void SegmentScan::collect_candidates(uint32_t begin, uint32_t end) {
  size_t postings = 0;
  float total = 0, others = 0;
  for (size_t i = 0; i < active_.size(); ++i) {
    if (i < leaders_) postings += lists_[active_[i].list].window_postings();
    if (i >= leaders_) others += active_[i].bound;
    total += active_[i].bound;
  }
  dense_ = postings >= kDensePostings;
  for (size_t i = 0; i < leaders_; ++i) add_leader(active_[i], total - active_[i].bound, begin, end);
  std::vector<const float*> arrays;
  for (size_t i = 0; i < leaders_; ++i) arrays.push_back(scores_of(active_[i].list));
  // Every score is positive, so that a sum of at least FLT_MIN is a row that has a word.
  const float least = std::max(threshold_ / slack_ - others, FLT_MIN);
  if (dense_) text_kernels().select(arrays.data(), arrays.size(), least, kWindow, found_.data());
  candidates_.clear();
  for (size_t w = 0; w < (end - begin + 63) / 64; ++w) {
    uint64_t bits = found_[w];
    if (rows_ != nullptr) bits &= rows_->words()[begin / 64 + w];
    for (; bits != 0; bits &= bits - 1) {
      const auto offset = uint32_t(w * 64 + size_t(std::countr_zero(bits)));
      float sum = 0;
      for (const float* array : arrays) sum += array[offset];
      if (sum >= least) candidates_.push_back({offset, sum, true});
    }
  }
}

// Adds the list's scores to the candidates that may still win; `rest`: what the lists after it can add.
void SegmentScan::look_up(const Active& other, float rest, uint32_t begin) {
  WordList& list = lists_[other.list];
  float* scores = scores_of(other.list);
  size_t kept = 0;
  for (Candidate c : candidates_) {
    if (!can_win(c.sum + other.bound + rest)) continue;
    const float bound = list.bound_at(begin + c.offset);
    if (!can_win(c.sum + bound + rest)) continue;
    const float score = bound > 0 ? list.score_at(begin + c.offset) : 0;
    scores[c.offset] = score;
    c.sum += score;
    c.has_word = c.has_word || score > 0;
    if (can_win(c.sum + rest)) candidates_[kept++] = c;
  }
  candidates_.resize(kept);
}

void SegmentScan::finish_candidates(uint32_t begin) {
  if (query_.match == TextQuery::Match::kPhrase && !candidates_.empty())
    for (WordList& list : lists_) list.rewind();
  for (const Candidate& c : candidates_) {
    if (!can_win(c.sum)) continue;
    float score = 0;
    for (size_t l = 0; l < lists_.size(); ++l) score += scores_of(l)[c.offset];
    ++rows_scored_;
    if (score < threshold_) continue;
    if (query_.match == TextQuery::Match::kPhrase && !phrase_matches(begin, c.offset)) continue;
    (*offer_)({score, &view_, begin + c.offset});
    threshold_ = std::max((*current_threshold_)(), query_.min_score);
  }
}

bool SegmentScan::phrase_matches(uint32_t begin, uint32_t offset) {
  for (size_t field = 0; field < query_.fields; ++field) {
    for (auto& places : positions_) places.clear();
    for (size_t l = 0; l < lists_.size(); ++l)
      if (lists_[l].field() == field && scores_of(l)[offset] > 0) lists_[l].read_positions(begin + offset, positions_[lists_[l].word()]);
    if (phrase_in_field()) return true;
  }
  return false;
}

// Whether some place has the whole sequence.
bool SegmentScan::phrase_in_field() const {
  const auto& sequence = query_.words->sequence;
  for (const uint32_t start : positions_[sequence.front()]) {
    size_t i = 1;
    while (i < sequence.size() && std::binary_search(positions_[sequence[i]].begin(), positions_[sequence[i]].end(), start + uint32_t(i)))
      ++i;
    if (i == sequence.size()) return true;
  }
  return false;
}

void SegmentScan::clear_window() {
  for (size_t i = 0; i < leaders_; ++i) {
    float* scores = scores_of(active_[i].list);
    if (dense_) {
      std::fill(scores, scores + kWindow, 0.0f);
      continue;
    }
    for (size_t w = 0; w < kWindowWords; ++w)
      for (uint64_t bits = found_[w]; bits != 0; bits &= bits - 1) scores[w * 64 + size_t(std::countr_zero(bits))] = 0;
  }
  for (size_t i = leaders_; i < active_.size(); ++i)
    for (const uint32_t offset : looked_up_) scores_of(active_[i].list)[offset] = 0;
  found_.fill(0);
}

}  // namespace quarry::mvs
