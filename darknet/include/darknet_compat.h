/* SPDX-License-Identifier: Apache-2.0
 *
 * AlexeyAB Darknet's C interface over this library, so that programs written for its libdarknet.so run unchanged.
 * New programs are better served by darknet.h.
 *
 * Differences that a caller can see
 *   - No call exits, aborts or prints. On failure pointers are NULL, counts 0 (or -1 if documented), images empty, and
 *     dn_last_error() (darknet.h) gives the reason on the same thread.
 *   - Calls on one network from several threads take turns, and each thread decodes its own last prediction; a
 *     thread without one decodes the network's latest.
 *   - Computation is float32; unknown keys in a cfg are passed over; a weights file that does not fit is refused.
 *   - `network` is opaque but for its first two members.
 */
#ifndef DARKNET_COMPAT_H
#define DARKNET_COMPAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "darknet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One block from malloc. free_network_ptr() empties it; the block itself is the caller's to free(). */
typedef struct network network;

typedef struct {
    float x, y, w, h; /* centre form */
} box;

typedef struct {
    int w, h, c;
    float *data; /* planes (c, h, w), RGB, 0..1, from malloc */
} image;

typedef struct {
    int classes;
    char **names; /* lives as long as the process */
} metadata;

typedef struct detection {
    box bbox;
    int classes;
    int best_class_idx; /* -1: every probability is 0 */
    float *prob;        /* [classes] */
    float *mask;        /* always NULL */
    float objectness;
    int sort_class;
    float *uc;  /* [4], uncertainty of x, y, w, h; NULL unless the head is gaussian_yolo */
    int points; /* always 0 */
    float *embeddings; /* always NULL */
    int embedding_size;
    float sim;
    int track_id;
} detection;

typedef struct det_num_pair {
    int num;
    detection *dets;
} det_num_pair, *pdet_num_pair;

typedef enum { DEFAULT_NMS, GREEDY_NMS, DIOU_NMS, CORNERS_NMS } NMS_KIND;

/* -- networks ---------------------------------------------------------------------------------------------------- */

/* weights: NULL or "" for random ones. batch <= 0: batch/subdivisions of the cfg. clear is without effect, as nothing
 * can be trained through this interface. */
DN_API network *load_network_custom(char *cfg, char *weights, int clear, int batch);
DN_API network *load_network(char *cfg, char *weights, int clear);
DN_API void free_network_ptr(network *net); /* twice does no harm, nor does NULL */
DN_API void set_batch_network(network *net, int batch);
DN_API int network_width(network *net);
DN_API int network_height(network *net);
DN_API void darknet_network_dimensions(network *net, int *w, int *h, int *c);
/* Where the networks that this thread loads from now on compute: a GPU by number, or -1: on the CPU. Without this call,
 * and where there is no such GPU, on the device of "auto". */
DN_API void cuda_set_device(int device);
/* Nothing to do here; callers call them all the same. */
DN_API void reset_rnn(network *net);
DN_API void calculate_binary_weights(network *net);
DN_API void init_cpu(void);

/* -- inference --------------------------------------------------------------------------------------------------- */

/* `input` holds batch planes (c, h, w) of the network's size. The result is the last layer's output, owned by the
 * network and valid until the thread's next prediction on it. */
DN_API float *network_predict_ptr(network *net, float *input);
/* Any size: stretched, or padded, to the network's. The batch of network_predict_ptr() becomes 1, as in Darknet. */
DN_API float *network_predict_image(network *net, image im);
DN_API float *network_predict_image_letterbox(network *net, image im);
/* im.data: batch_size images of the network's size back to back. */
DN_API det_num_pair *network_predict_batch(network *net, image im, int batch_size, int w, int h, float thresh,
                                           float hier, int *map, int relative, int letter);
/* Candidates of the first item of the last prediction. `hier` and `map` are without effect: trees use 0.5, as in
 * Darknet, and the map of the cfg. num may be NULL. */
DN_API detection *get_network_boxes(network *net, int w, int h, float thresh, float hier, int *map, int relative,
                                    int *num, int letter);
/* As many empty records as get_network_boxes() would give. */
DN_API detection *make_network_boxes(network *net, float thresh, int *num);
DN_API void free_detections(detection *dets, int n);
DN_API void free_batch_detections(det_num_pair *pairs, int n);

/* Both reorder the array; losers' probabilities (and objectness, for do_nms_obj) become 0. */
DN_API void do_nms_sort(detection *dets, int total, int classes, float thresh);
DN_API void do_nms_obj(detection *dets, int total, int classes, float thresh);
DN_API void diounms_sort(detection *dets, int total, int classes, float thresh, NMS_KIND kind, float beta1);

/* -- images ------------------------------------------------------------------------------------------------------ */

DN_API image make_image(int w, int h, int c);
DN_API image make_empty_image(int w, int h, int c); /* data NULL */
DN_API void free_image(image im);
DN_API image load_image_color(char *path, int w, int h); /* resized unless w or h is 0 */
DN_API image resize_image(image im, int w, int h);
DN_API image letterbox_image(image im, int w, int h);
DN_API image resize_min(image im, int min);
DN_API image crop_image(image im, int dx, int dy, int w, int h); /* outside the image: the nearest pixel */
DN_API void rgbgr_image(image im);
DN_API void copy_image_from_bytes(image im, char *bytes); /* interleaved, as many as the image has values */

/* -- metadata, utilities ----------------------------------------------------------------------------------------- */

DN_API metadata get_metadata(char *data_file);
DN_API void free_ptrs(void **pointers, int n);
DN_API char *detection_to_json(detection *dets, int n, int classes, char **names, long long int frame_id,
                               char *filename); /* free() it */

/* -- one detector per process (the C face of yolo_v2_class.hpp) -------------------------------------------------- */

typedef struct {
    unsigned int x, y, w, h; /* corner form: left, top */
    float prob;
    unsigned int obj_id, track_id, frames_counter;
    float x_3d, y_3d, z_3d; /* always 0 */
} bbox_t;

typedef struct {
    int h, w, c;
    float *data;
} image_t;

#define C_SHARP_MAX_OBJECTS 1000
typedef struct {
    bbox_t candidates[C_SHARP_MAX_OBJECTS];
} bbox_t_container;

/* Threshold 0.2, NMS 0.4. Returns 1, or 0 when the network cannot be loaded. */
DN_API int init(const char *cfg, const char *weights, int gpu, int batch_size);
/* How many were found, of which the first 1000 are written; -1 on failure. */
DN_API int detect_image(const char *path, bbox_t_container *out);
DN_API int detect_mat(const uint8_t *encoded, size_t length, bbox_t_container *out);
DN_API int dispose(void); /* 1 */
DN_API int get_device_count(void); /* -1: no GPU */
DN_API int get_device_name(int gpu, char *name); /* -1, and an empty name */
DN_API bool built_with_cuda(void);
DN_API bool built_with_cudnn(void);
DN_API bool built_with_opencv(void);

#ifdef __cplusplus
}
#endif
#endif
