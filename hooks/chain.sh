# >>> git pggit hooks: the hook that was here before >>>
if [ -x "$0@ASIDE@" ]; then exec "$0@ASIDE@" "$@"; fi
exit 0
# <<< git pggit hooks <<<
