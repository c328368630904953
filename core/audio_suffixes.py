"""The names of audio files, by the end of their names."""

LIBSNDFILE_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".oga", ".opus"})
FFMPEG_SUFFIXES = frozenset({".3gp", ".aac", ".ac3", ".amr", ".ape", ".m4a", ".mka", ".tta", ".wma", ".wv"})
READABLE_SUFFIXES = LIBSNDFILE_SUFFIXES | FFMPEG_SUFFIXES
LOOKS_LIKE_AUDIO = READABLE_SUFFIXES | {".caf", ".mp2", ".pcm", ".ra", ".raw", ".w64"}
