// Vectors in groups of near ones: k-means (Lloyd 1982) on a sample, then each vector to its nearest centre, as an inverted file wants it
// (Sivic & Zisserman 2003; Jégou et al. 2011).
#pragma once

#include <cstdint>
#include <vector>

#include "base/executor.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

struct Clusters {
  size_t dimension = 0;
  std::vector<float> centres;     // of unit vectors where the metric is cosine; neighbours lie near each other
  std::vector<uint32_t> members;  // of each vector its centre

  size_t size() const { return dimension == 0 ? 0 : centres.size() / dimension; }
};

// `vectors` point to `dimension` finite floats; at least one. The same input gives the same clusters.
Clusters cluster(Metric metric, const std::vector<const float*>& vectors, size_t dimension, size_t count, Executor* executor);

// How far each centre is from a query: squared distance (of unit vectors for cosine), for dot the product's negative.
std::vector<float> centre_distances(Metric metric, const std::vector<float>& centres, const std::vector<float>& query);

}  // namespace quarry::mvs
