#pragma once

#include "extract/extract.h"

namespace quarry::extract {

// One document for each source, with the vectors that its fields already hold. Parameters: the contract's PassthroughExtractorParams.
const Extractor& passthrough_extractor();

}  // namespace quarry::extract
