// There are two builds of this one source: with the tile instructions, and with a double of each in plain C++, which
// tests run where no AMX is. Nothing else differs between them.
#pragma once

#ifdef HARDTACK_DOUBLE
#include "tiles_double.h"
#else
#include "tiles_amx.h"
#endif
