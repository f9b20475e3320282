// A bench ends with the message of what went wrong.
#pragma once

#include <stdexcept>

#include "base/result.h"

namespace quarry {

template <class T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

}  // namespace quarry
