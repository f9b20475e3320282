// Finds the rows of one segment that score best, window by window.
//
// Within a window of rows: the lists whose bounds together stay below the score to beat are left aside (MaxScore, Turtle & Flood 1995, with
// the bounds of the window's blocks: block-max, Ding & Suel 2011); the others' scores are added up in an array over the window, and only
// rows that may still win are looked up in the lists left aside, the most promising list first. What is kept is summed again in the
// canonical order of mvs.h: pruning decides with slack for rounding and never makes a score.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "mvs/hot/top_rows.h"
#include "mvs/text/text_query.h"
#include "mvs/text/word_list.h"

namespace quarry::mvs {

// What a scan is asked for. All outlive it.
struct ScanQuery {
  const AnalysedQuery* words = nullptr;
  TextQuery::Match match = TextQuery::Match::kAny;
  size_t fields = 1;
  float min_score = 0;
};

class SegmentScan {
 public:
  // `lists` in the order of the sum; `rows`: the rows that count, null for all. Rows that score at least `threshold()` and min_score are
  // offered; threshold() may rise while the scan runs.
  SegmentScan(const SegmentView& view, std::vector<WordList>& lists, const Bitmap* rows, const ScanQuery& query);

  // False as soon as `expired` says so.
  bool run(const std::function<float()>& threshold, const std::function<void(const ScoredRow&)>& offer,
           const std::function<bool()>& expired);

  uint64_t rows_scored() const { return rows_scored_; }

 private:
  static constexpr size_t kWindow = 4096;  // rows; a multiple of 64
  static constexpr size_t kWindowWords = kWindow / 64;

  struct Active {
    size_t list;
    float bound;
  };
  struct Candidate {
    uint32_t offset;  // in the window
    float sum;        // of what is known of its score
    bool has_word;    // that is being looked up
  };

  void scan_window(uint32_t begin, uint32_t end);
  bool find_active(uint32_t begin, uint32_t end);
  void choose_leaders();
  void collect_candidates(uint32_t begin, uint32_t end);
  void add_leader(const Active& leader, float others, uint32_t begin, uint32_t end);
  void look_up(const Active& other, float rest, uint32_t begin);
  void finish_candidates(uint32_t begin);
  bool phrase_matches(uint32_t begin, uint32_t offset);
  bool phrase_in_field() const;
  void clear_window();

  bool can_win(float bound) const { return bound * slack_ >= threshold_; }
  float* scores_of(size_t list) { return scores_.data() + list * kWindow; }

  const SegmentView& view_;
  std::vector<WordList>& lists_;
  const Bitmap* rows_;
  const ScanQuery& query_;
  const std::function<float()>* current_threshold_ = nullptr;
  const std::function<void(const ScoredRow&)>* offer_ = nullptr;

  float slack_;                 // more than 1: sums in different orders differ by rounding
  float threshold_ = 0;         // at the window's start or later
  std::vector<float> scores_;   // [list][offset]; all 0 between windows
  std::vector<Active> active_;  // leaders first, then the others in the order of look-up
  size_t leaders_ = 0;
  bool dense_ = false;
  std::array<uint64_t, kWindowWords> found_{};  // offsets that leaders scored; where dense, offsets that may win
  std::vector<Candidate> candidates_;
  std::vector<uint32_t> looked_up_;  // offsets with scores outside the leaders' lists
  std::vector<std::vector<uint32_t>> positions_;
  uint64_t rows_scored_ = 0;
};

}  // namespace quarry::mvs
