/* SPDX-License-Identifier: Apache-2.0
 *
 * libdarknet: load, run and train Darknet networks. This header is the whole interface and its manual.
 *
 * Conventions
 *   - Every function that can fail returns a dn_status. On failure the text of the reason, with file and line where
 *     there is one, is what dn_last_error() returns on the same thread until its next failing call. Out-parameters
 *     stand last and are untouched on failure. No call exits, aborts or prints, or changes the floating-point mode.
 *   - Handles come from a create function and go to the matching free, which accepts NULL.
 *   - A handle is used by one thread at a time; different handles in parallel. Clones share their weights, and may be
 *     used while a trainer trains these in another thread: see dn_network_clone.
 *   - Activations are float32 planes (n, c, h, w), row-major; images are 0..1, RGB.
 *   - Boxes are corners x1, y1, x2, y2 in pixels of the caller's image, not clipped to it.
 *   - Strings are UTF-8; those that a handle returns live as long as it, those of its layers until it is resized.
 */
#ifndef DARKNET_H
#define DARKNET_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define DN_API __declspec(dllexport)
#else
#define DN_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* [cdef] The text up to the closing mark is also what the Python binding declares. */

typedef enum {
    DN_OK = 0,
    DN_INVALID_ARGUMENT = 1, /* a caller's value is out of range */
    DN_IO = 2,               /* a file cannot be opened, read or written */
    DN_CFG = 3,              /* a cfg is malformed or describes an impossible network */
    DN_WEIGHTS = 4,          /* a weights file is damaged or belongs to another network */
    DN_BACKEND = 5,          /* a backend is unknown, unavailable, or failed */
    DN_OUT_OF_MEMORY = 6,
    DN_INTERNAL = 7          /* a defect of this library; please report it */
} dn_status;

/* The reason of the last failure on this thread; "" when there was none. Valid until the next failing call. */
DN_API const char *dn_last_error(void);
/* "1.2.3". */
DN_API const char *dn_version(void);
/* Version of this interface. It grows when a function or structure below changes or is removed, not when one is added. The
 * name of the library's file does not have it, since programs for Darknet's libdarknet.so must find it: compare DN_ABI, as
 * you were compiled, with dn_abi(), of the library that was loaded. */
enum { DN_ABI = 2 };
DN_API int dn_abi(void);
/* This build and machine as JSON: version, compiler, onednn, openmp, cpu_features, cores, and backends, the fastest
 * first. Of each: name, available, reason (why not), and where available device (the part of the hardware and its
 * libraries that the rounding of results depends on), precisions (a name and a reason, as in dn_network_info, of each)
 * and auto (likewise). And cuda, what the backend of that name finds, null where it is not built: driver (the newest
 * CUDA that it supports), nvrtc, cudnn and nccl (versions; null where not found; nccl is for several GPUs alone),
 * embedded (compute capabilities, 75 for 7.5, whose kernels are part of the build), cache (folder, files, bytes, damaged
 * files, and why_not: the reason why nothing is kept in it), why_not (the reason why device 0 cannot be used; "" when it
 * can), and devices, of each: index, name, capability, memory (bytes), uuid, why_not. */
DN_API const char *dn_build_info(void);
/* Folders that may hold NVIDIA's libraries, which are opened when they are first needed; they are searched before the
 * places of the system's loader, behind those that the environment variable PYDARKNET_CUDA_PATH names. Call it before
 * dn_build_info and before a network is made. */
DN_API dn_status dn_library_folders(const char *const *folders, int count);

/* -- networks ---------------------------------------------------------------------------------------------------- */

typedef struct dn_network dn_network;

typedef struct {
    const char *backend;   /* "auto" (the first available), a name of dn_build_info, with a device's number where it has
                              several ("cuda:1"), or "check:A,B", which compares two of them; NULL: "auto" */
    const char *precision; /* "auto" (what the backend prefers on its device), "fp32", "tf32", "bf16" or "fp16", if the
                              backend has it; NULL: "auto" */
    int batch;             /* images a forward pass takes at most, >= 1 */
    int threads;           /* 0: all cores this process may use; at most four times as many, or 64 */
    int strict;            /* 1: unknown cfg keys are errors; 0: warnings */
} dn_options;

/* Loads a network for inference. weights may be NULL (random initial weights). options may be NULL (defaults). */
DN_API dn_status dn_network_load(const char *cfg, const char *weights, const dn_options *options, dn_network **out);
/* The same from cfg text; `name` stands for the file in messages. */
DN_API dn_status dn_network_parse(const char *text, size_t length, const char *name, const char *weights,
                           const dn_options *options, dn_network **out);
/* A second network over the same weights, to be used by another thread; weights, batch-norm statistics and all. While a
 * trainer of one of them runs in another thread, every other may predict, detect and profile, read arrays, save weights,
 * be resized, cloned and freed. Each pass through the network (a batch of detect), each array read and each file saved
 * has the weights of one moment between two calls of the trainer, never half an update; the trainer's next update waits
 * until it is done. Two passes, or two arrays, may have those of different moments. */
DN_API dn_status dn_network_clone(const dn_network *network, dn_network **out);
DN_API void dn_network_free(dn_network *network);

/* Changes the input size (multiples of the network's stride) or the batch. */
DN_API dn_status dn_network_resize(dn_network *network, int width, int height);
DN_API dn_status dn_network_set_batch(dn_network *network, int batch);

typedef struct {
    int layers;         /* sections after [net] */
    int batch, threads;
    int width, height, channels; /* of the input */
    int stride;         /* width and height must be multiples of it */
    int classes;        /* of the heads; 0 when there is none */
    int letter_box;     /* [net] letter_box */
    int layers_loaded;  /* covered by the weights file; less than layers for a partial one; 0 without a file */
    uint64_t seen;      /* images processed in training, from the weights file */
    uint64_t parameters; /* float32 values of the network, as many as a complete weights file holds */
    double bflops;      /* billions of operations of one image, counted as Darknet does */
    uint64_t activation_bytes; /* of the compiled plan; 0 before the first prediction */
    const char *backend, *precision; /* what "auto" became */
    const char *device;           /* as in dn_build_info */
    const char *precision_reason; /* why "auto" became this precision, or what computing in it costs here; or "" */
} dn_network_info;

DN_API dn_status dn_network_get_info(const dn_network *network, dn_network_info *out);

typedef struct {
    const char *type;     /* "convolutional", "yolo", ... */
    const char *where;    /* "net.cfg:57 [convolutional]" */
    const char *description; /* the layer's own numbers as the layer table shows them, e.g. "64 3x3/2 leaky" */
    int in_c, in_h, in_w, out_c, out_h, out_w;
    int is_head;
    uint64_t parameters;
    double bflops;
    const int *inputs;    /* layers this one reads; -1 is the network's input */
    int input_count;
} dn_layer_info;

DN_API dn_status dn_network_get_layer(const dn_network *network, int layer, dn_layer_info *out);
/* The i-th warning of loading (unknown keys when not strict, ...), or NULL after the last. */
DN_API const char *dn_network_warning(const dn_network *network, int i);
/* The i-th key that is set although it changes nothing here, while it does in Darknet's training or tracker, as
 * "FILE:LINE [SECTION] KEY=VALUE ..."; NULL after the last. */
DN_API const char *dn_network_without_effect(const dn_network *network, int i);

typedef struct {
    uint64_t plan;       /* bytes that a plan takes of the memory in which the backend computes: activations, weights as it
                            packs them; in training also gradients, momentum and moving average; on a GPU with
                            the most that cuDNN may take as scratch memory */
    uint64_t parameters; /* bytes of the network's own parameters, in main memory */
    uint64_t free;       /* bytes that the backend's memory has left; 0: the system does not report it */
} dn_memory;

/* What a network of cfg text would take in inference (training 0) or in training (1), without making it: with the
 * backend, precision and batch of the options, at another input size unless width and height are 0. */
DN_API dn_status dn_plan_bytes(const char *text, size_t length, const char *name, const dn_options *options, int width,
                               int height, int training, dn_memory *out);

/* -- inference --------------------------------------------------------------------------------------------------- */

/* Runs n images (n <= batch), planes (n, c, h, w) in 0..1. `layers` (may be NULL): the layers to be read afterwards;
 * without them the heads, or the last layer of a network without heads. */
DN_API dn_status dn_network_predict(dn_network *network, const float *x, int n, const int *layers, int layer_count);
/* Copies the output of a layer of the last predict, (n, outputs), into dst, which holds `count` floats. */
DN_API dn_status dn_network_read(const dn_network *network, int layer, float *dst, size_t count);

typedef struct {
    int layer;
    float cost;       /* its part of the network's cost */
    float total_loss; /* sum of squared deltas */
    float class_loss, iou_loss;
    float iou_sum; /* of predictions with their truths; divide by count */
    int count;     /* predictions that were assigned a truth */
    int rewritten; /* of them, assigned twice */
} dn_loss_report;

/* The losses of the images of the last predict, or of the last batch of detect, given their truths (as those of
 * dn_trainer_accumulate): what training would minimise, with batch norm as in inference. Nothing changes. One report
 * per layer that owns a cost, which must be among those that can be read; `capacity` and `count` as in
 * dn_network_profile. */
DN_API dn_status dn_network_losses(const dn_network *network, const float *truths, int n, size_t truth_stride,
                                   dn_loss_report *reports, int capacity, int *count);

typedef struct {
    const void *data; /* interleaved: pixel (y, x) begins at data + y*stride + x*channels*depth */
    int width, height, channels;
    size_t stride; /* bytes from row to row */
    int depth;     /* bytes per value: 1 (0..255) or 2 (0..65535) */
    int bgr;       /* 3 and 4 channels: blue first */
} dn_image;

typedef struct {
    float x1, y1, x2, y2;
    float confidence;
    int32_t class_id;
    int32_t box; /* equal for the classes of one box */
} dn_detection;

typedef struct {
    float thresh;  /* confidence above which a detection is reported, 0..1 */
    float nms;     /* overlap above which the weaker of two is suppressed; 0: no suppression */
    int letterbox; /* keep the aspect ratio, 0 or 1 */
} dn_detect_options;

typedef struct dn_detections dn_detections;

/* Detects objects in `count` images, any size each, run in batches. */
DN_API dn_status dn_network_detect(dn_network *network, const dn_image *images, int count, const dn_detect_options *options,
                            dn_detections **out);
/* The detections of one image; `count` becomes their number. The array lives as long as `detections`. */
DN_API const dn_detection *dn_detections_of(const dn_detections *detections, int image, int *count);
DN_API void dn_detections_free(dn_detections *detections);

/* Writes what detect() would feed: image -> planes (c, height, width) of the network's input size. */
DN_API dn_status dn_network_preprocess(const dn_network *network, const dn_image *image, int letterbox, float *dst,
                                size_t count);

typedef struct {
    int layer;
    const char *what; /* the kernel that ran, e.g. "brgconv:avx512_core_bf16" */
    double seconds;
} dn_layer_time;

/* Runs one forward pass with a clock around each layer. Up to `capacity` entries are written, `count` is how many
 * there are. Strings live until the next call on this network. */
DN_API dn_status dn_network_profile(dn_network *network, dn_layer_time *times, int capacity, int *count);

/* Compares the backends of a network whose backend is "check:A,B": for each layer the largest difference between their
 * outputs on noise, relative to the largest value. As dn_network_profile; DN_BACKEND with other backends. */
DN_API dn_status dn_network_layer_errors(dn_network *network, double *errors, int capacity, int *count);

/* -- weights ----------------------------------------------------------------------------------------------------- */

/* Writes a Darknet weights file, atomically. cutoff: only the layers before it; -1: all. */
DN_API dn_status dn_network_save_weights(const dn_network *network, const char *path, int cutoff);

/* Copies a parameter array of a layer, as a weights file holds it (batch-norm not folded), into dst, which holds
 * `capacity` floats. name: "biases", "scales", "means", "variances" or "weights". A layer that shares weights has
 * those of its owner. `count` becomes the array's length, 0 where the layer has no such array; dst may be NULL to
 * learn it. */
DN_API dn_status dn_network_get_array(const dn_network *network, int layer, const char *name, float *dst,
                                      size_t capacity, size_t *count);

/* -- training ---------------------------------------------------------------------------------------------------- */

typedef struct dn_trainer dn_trainer;

/* A trainer of the network's weights, with its backend, precision and threads. It keeps what it needs alive; the
 * network may be used for inference (by the same thread) between the trainer's calls, its clones at any time.
 * DN_INVALID_ARGUMENT while another trainer trains the same weights, those of a clone included. */
DN_API dn_status dn_trainer_create(dn_network *network, dn_trainer **out);
DN_API void dn_trainer_free(dn_trainer *trainer);

/* One mini-batch: forward, loss, backward; gradients add up until the update. images: planes (n, c, h, w) in 0..1.
 * truths: n rows of truth_stride floats: boxes x, y, w, h (relative, centre form), class, track id, ended by x = 0; for
 * classifiers one value per class. `cost` becomes the mean of the costs of all heads, as Darknet prints it. A call that
 * fails leaves counters and rolling statistics as they were. */
DN_API dn_status dn_trainer_accumulate(dn_trainer *trainer, const float *images, int n, const float *truths,
                                       size_t truth_stride, float *cost);
/* In front of a dn_trainer_accumulate: the images of the one after it, of the present input size; they stay as they are
 * until that call has ended. A GPU receives them while it computes. */
DN_API dn_status dn_trainer_announce(dn_trainer *trainer, const float *images, int n);
/* A part of an image of 8 bits that fills a rectangle of an input: what augmentation decided, left to the backend to
 * compute. The crop is a rectangle of the image, or reaches beyond it; resized bilinearly to the size of the input and,
 * with `flip`, mirrored, it is shown from (from_x, from_y) on. The pixels are a part of the crop; elsewhere it has the
 * colour `fill`. Where several tiles cover a pixel it is their mean, as in mixup; where none does it is 0. */
typedef struct {
    const unsigned char *pixels; /* part_height rows, blue first */
    size_t stride;               /* bytes from row to row */
    const unsigned char *tables; /* 256 new values each for hue (0..179), saturation and value, or for grey; or NULL */
    int image;                   /* of the mini-batch */
    int x, y, width, height;
    int from_x, from_y;
    int crop_width, crop_height;
    int part_x, part_y, part_width, part_height;
    int flip;
    unsigned char fill[4];
} dn_tile;

/* dn_trainer_accumulate with n images of 1 or 3 channels that the backend composes: at most 4 tiles an image, in any
 * order, with at most 4 bytes of pixels for each value of the input. All of it is copied. DN_BACKEND where the backend
 * does not compose; cuda does. */
DN_API dn_status dn_trainer_accumulate_tiles(dn_trainer *trainer, const dn_tile *tiles, int count, int n,
                                             const float *truths, size_t truth_stride, float *cost);
/* Moves the weights by what was accumulated, with the rate of the next iteration; the counter advances. In fp16, gradients
 * or activations that overflowed move nothing: the update is skipped, rolling statistics become those of before its
 * mini-batches, and the loss scale is halved. */
DN_API dn_status dn_trainer_update(dn_trainer *trainer);

/* -- several workers share an update: each has a trainer with the same state, in a process of its own --
 * This trainer computes the mini-batches number, number + count, ... of every update, all of the same size, and counts
 * images as if the others had done theirs. Momentum is number 0's alone. Between the last dn_trainer_accumulate and
 * dn_trainer_update the caller replaces every array of DN_GRADIENTS by the sum over all workers, and gives the shares
 * of all workers to dn_trainer_move_rolling; then all have the same weights again. DN_BACKEND where a backend lacks it. */
DN_API dn_status dn_trainer_set_worker(dn_trainer *trainer, int number, int count);
/* What this worker's mini-batches since the last update add to the rolling statistics of batch norm. `count` becomes the
 * number of floats; they are copied into dst, which holds `capacity` floats and may be NULL to learn the number. */
DN_API dn_status dn_trainer_get_shares(const dn_trainer *trainer, float *dst, size_t capacity, size_t *count);
/* Moves the rolling statistics by the shares of all workers, `count` floats, those of worker 0 first, in the order of the
 * mini-batches: the result has the bits of one trainer that computed them all. */
DN_API dn_status dn_trainer_move_rolling(dn_trainer *trainer, const float *all, size_t count);

/* -- a backend may sum the gradients of all workers in its own memory, as cuda does with NCCL: then these take the place
 * of the caller's sums of DN_GRADIENTS. Each function that waits for the other workers fails with DN_BACKEND when they do
 * not come within the given seconds; join again afterwards, with a new id. -- */
typedef struct {
    char bytes[128];
} dn_group_id;

/* The reason why this trainer cannot; "" when it can. Valid until the next call on it. */
DN_API const char *dn_trainer_why_no_group(dn_trainer *trainer);
/* The id of a new group, made by one worker; its bytes are sent to all others, by what means the caller has. */
DN_API dn_status dn_trainer_group_id(const dn_trainer *trainer, dn_group_id *id);
/* Connects this worker, whose number and count dn_trainer_set_worker has set, with the others; each has a device of its
 * own. */
DN_API dn_status dn_trainer_join_group(dn_trainer *trainer, const dn_group_id *id, double seconds);
/* Replaces the gradients by their sums, of equal bits in all workers. All of them call it. */
DN_API dn_status dn_trainer_sum_gradients(dn_trainer *trainer, double seconds);

/* Another input size from the next mini-batch on, a multiple of the network's stride. */
DN_API dn_status dn_trainer_resize(dn_trainer *trainer, int width, int height);

typedef struct {
    int64_t iteration; /* updates done, those before a resume included */
    uint64_t seen;     /* images trained on */
    int pending;       /* images accumulated since the last update */
    float rate;        /* of the schedule at this iteration: what the last update used */
    int width, height; /* of the input now */
    uint64_t activation_bytes;
    float loss_scale;       /* in fp16, the factor of the losses' gradients, a part of the state; else 0 */
    int loss_scale_updates; /* updates since it changed, a part of the state, too: after 2000 it is doubled */
    int skipped;            /* 1 when the last update was skipped */
    int64_t skipped_updates; /* of those done, which Adam's corrections do not count, a part of the state */
} dn_trainer_info;

DN_API dn_status dn_trainer_get_info(const dn_trainer *trainer, dn_trainer_info *out);
/* For a resumed run, after its arrays were written: the position to resume at. Nothing is pending then. */
DN_API dn_status dn_trainer_set_counters(dn_trainer *trainer, int64_t iteration, uint64_t seen, int64_t skipped_updates);
/* For a resumed run: what dn_trainer_get_info gave. Without effect where losses are not scaled. */
DN_API dn_status dn_trainer_set_loss_scale(dn_trainer *trainer, float loss_scale, int loss_scale_updates);
/* Replaces the base rate that the schedule multiplies. */
DN_API dn_status dn_trainer_set_learning_rate(dn_trainer *trainer, float rate);

/* The losses of the last mini-batch, one per layer that owns a cost; as dn_network_profile. */
DN_API dn_status dn_trainer_reports(const dn_trainer *trainer, dn_loss_report *reports, int capacity, int *count);
/* A layer's output and its delta (the negative gradient of the loss), (n, outputs), in the last mini-batch. */
DN_API dn_status dn_trainer_read(const dn_trainer *trainer, int layer, float *dst, size_t count);
DN_API dn_status dn_trainer_read_delta(const dn_trainer *trainer, int layer, float *dst, size_t count);

typedef enum {
    DN_PARAMETERS = 0, /* what a weights file holds */
    DN_GRADIENTS = 1,  /* accumulated since the last update, on top of the momentum it left */
    DN_ADAM_M = 2,
    DN_ADAM_V = 3,
    DN_EMA = 4
} dn_state_kind;

/* The arrays of the state that a bit-exact continuation needs, one by one, as copies. role: "biases", "scales", "means",
 * "variances", "weights"; means and variances are among the parameters alone. Reading changes nothing.
 * count: values of an array, 0 where there is none: a layer without it, Adam's moments with SGD, the moving average
 * before it begins. */
DN_API dn_status dn_trainer_count(const dn_trainer *trainer, dn_state_kind kind, int layer, const char *role,
                                  size_t *count);
/* Copies an array into dst, which holds `count` floats, as many as the array. */
DN_API dn_status dn_trainer_get(const dn_trainer *trainer, dn_state_kind kind, int layer, const char *role, float *dst,
                                size_t count);
/* Replaces an array by the `count` floats at src, as many as it has. The first array of a moving average that has not
 * begun begins it, with zeros in all others; its arrays are as long as those of the gradients. */
DN_API dn_status dn_trainer_set(dn_trainer *trainer, dn_state_kind kind, int layer, const char *role, const float *src,
                                size_t count);
/* *out: "" when every parameter and gradient is finite, else the first layer and array that is not; gradients that the
 * update will skip do not count. Valid until the next call on this trainer. */
DN_API dn_status dn_trainer_non_finite(dn_trainer *trainer, const char **out);

/* [/cdef] */

#ifdef __cplusplus
}
#endif
#endif
