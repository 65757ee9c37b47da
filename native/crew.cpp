#include "crew.h"

#include <algorithm>
#include <memory>
#include <new>

namespace hardtack {
namespace {

/// Tokens below which a chunk is not cut further: less is not worth waking a thread.
constexpr int kLeast = 64;

/// Tokens of a chunk: as many as keep stream, copy and a slice of the feed-forward part in the second cache, as 448 do at
/// 384 features (see encoder.cpp); but enough that weights, which come from farther away, are used often.
int most_tokens(int size) { return std::clamp(448 * 384 / size / 16 * 16, 192, 448); }

int divide_up(int a, int b) { return (a + b - 1) / b; }

}  // namespace

std::vector<Chunk> cut(const HardtackBatch& batch, int most, int threads) {
  int total = 0;
  for (int text = 0; text < batch.texts; ++text) total += batch.lengths[text];
  const int even = divide_up(divide_up(total, most), threads) * threads;
  const int pieces = std::max(1, std::min(even, total / kLeast));
  const int target = divide_up(total, pieces);
  std::vector<Chunk> chunks;
  for (int text = 0, token = 0; text < batch.texts; ++text) {
    const int length = batch.lengths[text];
    if (chunks.empty() || chunks.back().tokens + length > std::max(target, chunks.back().tokens ? 0 : length))
      chunks.push_back({text, 0, token, 0});
    ++chunks.back().texts;
    chunks.back().tokens += length;
    token += length;
  }
  return chunks;
}

}  // namespace hardtack

HardtackEngine::HardtackEngine(const HardtackShape& shape, const void* const* sections, int threads)
    : model_(shape, sections), most_(hardtack::most_tokens(shape.size)) {
  try {
    for (int number = 0; number < threads; ++number) threads_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    throw;
  }
}

HardtackEngine::~HardtackEngine() { stop(); }

void HardtackEngine::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_there_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

HardtackJob* HardtackEngine::submit(const HardtackBatch& batch) {
  auto job = std::make_unique<HardtackJob>();
  job->batch = batch;
  job->engine = this;
  job->chunks = hardtack::cut(batch, most_, static_cast<int>(threads_.size()));
  const std::size_t chunks = job->chunks.size();
  if (chunks > 0) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(job.get());
  }
  if (chunks == 1)
    work_there_.notify_one();
  else
    work_there_.notify_all();
  return job.release();
}

bool HardtackEngine::wait(HardtackJob* job) {
  const std::unique_ptr<HardtackJob> owned(job);
  std::unique_lock lock(mutex_);
  job_done_.wait(lock, [&] { return job->ended == job->chunks.size(); });
  return !job->failed;
}

void HardtackEngine::work() {
  hardtack::Workspace workspace;
  std::unique_lock lock(mutex_);
  while (true) {
    work_there_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;  // stopping, and all has been begun
    HardtackJob* job = waiting_.front();
    const hardtack::Chunk chunk = job->chunks[job->begun++];
    if (job->begun == job->chunks.size()) waiting_.pop_front();
    lock.unlock();
    bool failed = false;
    try {
      workspace.run(model_, job->batch, chunk);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    lock.lock();
    job->failed = job->failed || failed;
    if (++job->ended == job->chunks.size()) job_done_.notify_all();
  }
}
