// The C face of the engine: hands over, and lets no exception through.
#include "abi.h"

#include <exception>

#include "crew.h"

namespace {

template <class Make>
auto or_null(Make&& make) -> decltype(make()) {
  try {
    return make();
  } catch (const std::exception&) {  // no memory, or no thread
    return nullptr;
  }
}

}  // namespace

HardtackEngine* hardtack_open(const HardtackShape* shape, const void* const* sections, int32_t threads) {
  return or_null([&] { return new HardtackEngine(*shape, sections, threads); });
}

HardtackJob* hardtack_submit(HardtackEngine* engine, const HardtackBatch* batch) {
  return or_null([&] { return engine->submit(*batch); });
}

int32_t hardtack_wait(HardtackJob* job) { return job->engine->wait(job) ? 0 : 1; }

void hardtack_close(HardtackEngine* engine) { delete engine; }
