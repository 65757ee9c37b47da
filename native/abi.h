/* What the library offers to Python, through ctypes: plain C, every number's width said.
 *
 * Nothing here checks what it is given beyond its own memory: hardtack.runtime.native does, before it calls.
 */
#ifndef HARDTACK_ABI_H
#define HARDTACK_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HARDTACK_API __attribute__((visibility("default")))
#define HARDTACK_ABI 1
#define HARDTACK_DENSE_MOST 4

typedef struct {
  int32_t size;        /* features of a token, a multiple of 16 */
  int32_t heads;       /* of attention */
  int32_t head_panels; /* of 32 features, for each of a head's queries, keys and values */
  int32_t inner;       /* features of the feed-forward part, a multiple of 32 */
  int32_t layers;
  int32_t positions;   /* rows of that table, and no text is longer */
  int32_t types;       /* rows of the table of token types; 0: there is none */
  int32_t activation;  /* 0 gelu, 1 gelu by tanh */
  int32_t relative;    /* whether scores have a bias by distance */
  int32_t pooling;     /* 0 weighted sum, 1 greatest */
  int32_t dense;       /* layers of the head */
  int32_t unit;        /* whether rows are brought to length one */
  int32_t dense_inputs[HARDTACK_DENSE_MOST];
  int32_t dense_outputs[HARDTACK_DENSE_MOST];
  int32_t dense_squash[HARDTACK_DENSE_MOST]; /* 0 nothing, 1 tanh */
  float epsilon;       /* of the normalisations */
} HardtackShape;

typedef struct {
  int32_t texts;
  const int32_t* lengths;   /* tokens of each text, at least 1 */
  const int32_t* ids;       /* of all texts, one after the other */
  const int32_t* positions; /* rows of the table of positions, of all tokens */
  const int32_t* types;     /* rows of the table of types, of all tokens */
  const float* weights;     /* what each token counts in pooling */
  float* rows;              /* the answer, [texts][width] */
} HardtackBatch;

typedef struct HardtackEngine HardtackEngine;
typedef struct HardtackJob HardtackJob;

/* The version of this header that the library was built with. */
HARDTACK_API int32_t hardtack_abi(void);
/* Whether this is the double, whose tiles are emulated. */
HARDTACK_API int32_t hardtack_is_double(void);
/* Why the CPU cannot run this library; NULL: it can. Safe on every x86-64 CPU, like the next one. */
HARDTACK_API const char* hardtack_cpu_lacks(void);
/* Asks the kernel to let this process use tiles. Why it does not; NULL: it does. */
HARDTACK_API const char* hardtack_permission_lacks(void);
/* Whether the CPU's tiles give what their definition says, within rounding. Only where the two above found nothing. */
HARDTACK_API int32_t hardtack_tiles_agree(void);

/* Rounds to bf16: `count` is a multiple of 16. */
HARDTACK_API void hardtack_round(const float* from, int64_t count, uint16_t* to);
/* Puts a matrix [outputs][inputs] into the order in which tiles are loaded; both are multiples of 32. */
HARDTACK_API void hardtack_tile(const float* from, int32_t outputs, int32_t inputs, uint16_t* to);

/* An engine over weights that stay where they are while it lives; NULL: there is no memory or no thread for it. */
HARDTACK_API HardtackEngine* hardtack_open(const HardtackShape* shape, const void* const* sections, int32_t threads);
/* Puts a batch to work; what it points at stays until it has been waited for. NULL: there is no memory. */
HARDTACK_API HardtackJob* hardtack_submit(HardtackEngine* engine, const HardtackBatch* batch);
/* Waits for a batch and forgets it. 0: its rows are there; else there was no memory. */
HARDTACK_API int32_t hardtack_wait(HardtackJob* job);
/* Ends the threads once all batches are done. */
HARDTACK_API void hardtack_close(HardtackEngine* engine);

#ifdef __cplusplus
}
#endif

#endif
