/* What both tools need of Windows's texts. */
#ifndef NARROW_H
#define NARROW_H

#include <stdlib.h>
#include <wchar.h>

/* UTF-8 of UTF-16, to free(); NULL without memory. An unpaired surrogate stays one (as in WTF-8), for whoever checks that the text is UTF-8. */
static char *narrow(const wchar_t *wide)
{
    size_t len = wcslen(wide), i;
    unsigned char *text = (unsigned char *)malloc(len * 3 + 1), *to = text;
    for (i = 0; text && i < len; i++) {
        unsigned long c = wide[i];
        if (c - 0xd800 < 0x400 && wide[i + 1] >= 0xdc00 && wide[i + 1] <= 0xdfff) {
            c = 0x10000 + ((c - 0xd800) << 10) + (wide[++i] - 0xdc00u);
        }
        if (c < 0x80) {
            *to++ = (unsigned char)c;
            continue;
        }
        if (c >= 0x10000) {
            *to++ = (unsigned char)(0xf0 | c >> 18);
            *to++ = (unsigned char)(0x80 | (c >> 12 & 0x3f));
        } else if (c >= 0x800) {
            *to++ = (unsigned char)(0xe0 | c >> 12);
        } else {
            *to++ = (unsigned char)(0xc0 | c >> 6);
        }
        if (c >= 0x800) {
            *to++ = (unsigned char)(0x80 | (c >> 6 & 0x3f));
        }
        *to++ = (unsigned char)(0x80 | (c & 0x3f));
    }
    if (text) {
        *to = 0;
    }
    return (char *)text;
}

#endif
