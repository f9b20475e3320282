#include "mvs/cold/clustering.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "mvs/hot/kernels.h"
#include "mvs/index/quantizer.h"

namespace quarry::mvs {
namespace {

constexpr size_t kSamplePerCentre = 64, kRounds = 8, kBlock = 1024;
constexpr uint64_t kSeed = 0x51756172727943;

class KMeans {
 public:
  KMeans(Metric metric, size_t dimension, size_t count, Executor* executor)
      : metric_(metric), dimension_(dimension), count_(count), executor_(executor), centres_(count * dimension) {}

  void train(const std::vector<const float*>& sample) {
    std::mt19937_64 random(kSeed);
    for (size_t c = 0; c < count_; ++c) place(c, sample[c * sample.size() / count_]);
    for (size_t round = 0; round < kRounds; ++round) {
      const auto members = assign(sample);
      move_centres(sample, members, random);
    }
  }

  std::vector<uint32_t> assign(const std::vector<const float*>& vectors) const {
    std::vector<float> half_norms(count_);
    for (size_t c = 0; c < count_; ++c) half_norms[c] = kernels().dot(centre(c), centre(c), dimension_) / 2;
    std::vector<uint32_t> out(vectors.size());
    parallel_for(executor_, (vectors.size() + kBlock - 1) / kBlock, [&](size_t block) {
      std::vector<float> dots(count_);
      for (size_t i = block * kBlock; i < std::min(vectors.size(), (block + 1) * kBlock); ++i) {
        const float factor = unit_factor(metric_, vectors[i], dimension_);
        kernels().dot_rows(vectors[i], centres_.data(), dimension_, count_, dots.data());
        size_t best = 0;
        for (size_t c = 1; c < count_; ++c)
          if (half_norms[c] - factor * dots[c] < half_norms[best] - factor * dots[best]) best = c;
        out[i] = uint32_t(best);
      }
    });
    return out;
  }

  // Each centre beside one that is near, so that what a query reads lies together.
  void chain() {
    std::vector<float> chained;
    std::vector<uint32_t> left(count_);
    for (size_t c = 0; c < count_; ++c) left[c] = uint32_t(c);
    for (size_t at = 0; !left.empty();) {
      const float* last = centre(left[at]);
      chained.insert(chained.end(), last, last + dimension_);
      left.erase(left.begin() + ptrdiff_t(at));
      float best = INFINITY;
      for (size_t i = 0; i < left.size(); ++i)
        if (const float d = kernels().squared_distance(last, centre(left[i]), dimension_); i == 0 || d < best) best = d, at = i;
    }
    centres_ = std::move(chained);
  }

  std::vector<float> take_centres() { return std::move(centres_); }

 private:
  const float* centre(size_t c) const { return centres_.data() + c * dimension_; }

  void place(size_t c, const float* vector) {
    const float factor = unit_factor(metric_, vector, dimension_);
    for (size_t i = 0; i < dimension_; ++i) centres_[c * dimension_ + i] = vector[i] * factor;
  }

  void move_centres(const std::vector<const float*>& sample, const std::vector<uint32_t>& members, std::mt19937_64& random) {
    std::vector<double> sums(count_ * dimension_);
    std::vector<size_t> sizes(count_);
    for (size_t i = 0; i < sample.size(); ++i) {
      const float factor = unit_factor(metric_, sample[i], dimension_);
      ++sizes[members[i]];
      for (size_t d = 0; d < dimension_; ++d) sums[members[i] * dimension_ + d] += double(sample[i][d]) * factor;
    }
    for (size_t c = 0; c < count_; ++c) {
      if (sizes[c] == 0) {
        place(c, sample[random() % sample.size()]);
        continue;
      }
      for (size_t d = 0; d < dimension_; ++d) centres_[c * dimension_ + d] = float(sums[c * dimension_ + d] / double(sizes[c]));
    }
  }

  const Metric metric_;
  const size_t dimension_, count_;
  Executor* const executor_;
  std::vector<float> centres_;
};

}  // namespace

Clusters cluster(Metric metric, const std::vector<const float*>& vectors, size_t dimension, size_t count, Executor* executor) {
  count = std::clamp<size_t>(count, 1, vectors.size());
  std::vector<const float*> sample;
  const size_t wanted = std::min(vectors.size(), count * kSamplePerCentre);
  for (size_t i = 0; i < wanted; ++i) sample.push_back(vectors[i * vectors.size() / wanted]);
  KMeans means(metric, dimension, count, executor);
  means.train(sample);
  means.chain();
  Clusters out;
  out.dimension = dimension;
  out.members = means.assign(vectors);
  out.centres = means.take_centres();
  return out;
}

std::vector<float> centre_distances(Metric metric, const std::vector<float>& centres, const std::vector<float>& query) {
  const size_t n = query.size(), count = centres.size() / n;
  std::vector<float> out(count);
  kernels().dot_rows(query.data(), centres.data(), n, count, out.data());
  const float factor = unit_factor(metric, query.data(), n);
  for (size_t c = 0; c < count; ++c) {
    const float* centre = centres.data() + c * n;
    out[c] = metric == Metric::kDot ? -out[c] : kernels().dot(centre, centre, n) - 2 * factor * out[c];
  }
  return out;
}

}  // namespace quarry::mvs
