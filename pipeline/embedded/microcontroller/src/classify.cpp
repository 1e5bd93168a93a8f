#include "classify.h"

#include <cstring>

#if defined(ARDUINO)
#include <Chirale_TensorFlowLite.h> /* tells Arduino which library has the headers below */
#endif
#include "model_data.h"
#include "operators.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

alignas(16) uint8_t arena[MODEL_ARENA_BYTES];

bool fits(tflite::MicroInterpreter &interpreter)
{
    const TfLiteTensor *image = interpreter.input(0), *outputs = interpreter.output(0);
    return image->type == MODEL_VALUE_TYPE && image->bytes == MODEL_BYTES &&
           outputs->type == kTfLiteFloat32 &&
           outputs->bytes == MODEL_CLASSES * sizeof(float);
}

/* The interpreter with its tensors in the arena, created once; null on any failure. */
tflite::MicroInterpreter *prepared()
{
    static const bool intact = model_data_intact();
    if (!intact)
        return nullptr;
    static Operators operators;
    static const bool added = add_operators(operators);
    static tflite::MicroInterpreter interpreter(tflite::GetModel(model_data), operators, arena,
                                                sizeof arena);
    static const bool ready =
        added && interpreter.AllocateTensors() == kTfLiteOk && fits(interpreter);
    return ready ? &interpreter : nullptr;
}

} // namespace

bool classify(const MODEL_VALUE *image, float *outputs)
{
    tflite::MicroInterpreter *interpreter = prepared();
    if (interpreter == nullptr)
        return false;
    std::memcpy(interpreter->input(0)->data.raw, image, MODEL_BYTES);
    if (interpreter->Invoke() != kTfLiteOk)
        return false;
    std::memcpy(outputs, interpreter->output(0)->data.f, MODEL_CLASSES * sizeof(float));
    return true;
}

size_t classify_arena_used_bytes(void)
{
    tflite::MicroInterpreter *interpreter = prepared();
    return interpreter == nullptr ? 0 : interpreter->arena_used_bytes();
}
