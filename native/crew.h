// Threads that live as long as an engine and share out chunks of whole texts.
//
// Who does a chunk, and beside whom, changes no number in it: a row depends on its own text alone.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "encoder.h"

namespace hardtack {

/// How a batch is cut: into chunks of about `most` tokens, of whole texts, about as many tokens in each; as many chunks
/// as keep all threads busy, unless they would be smaller than is worth a thread.
std::vector<Chunk> cut(const HardtackBatch& batch, int most, int threads);

}  // namespace hardtack

/// A batch under way.
struct HardtackJob {
  HardtackBatch batch;
  std::vector<hardtack::Chunk> chunks;
  std::size_t begun = 0;
  std::size_t ended = 0;
  bool failed = false;
  HardtackEngine* engine;
};

struct HardtackEngine {
 public:
  HardtackEngine(const HardtackShape& shape, const void* const* sections, int threads);
  ~HardtackEngine();
  HardtackEngine(const HardtackEngine&) = delete;
  HardtackEngine& operator=(const HardtackEngine&) = delete;

  HardtackJob* submit(const HardtackBatch& batch);
  bool wait(HardtackJob* job);

 private:
  void work();
  void stop();

  const hardtack::Model model_;
  const int most_;
  std::mutex mutex_;
  std::condition_variable work_there_, job_done_;
  std::deque<HardtackJob*> waiting_;  // those with chunks that nobody has begun
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};
