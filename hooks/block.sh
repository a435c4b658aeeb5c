# >>> git pggit hooks: these lines are written and removed by 'git pggit hooks' >>>
if [ -x @PROGRAM@ ]; then pggit=@PROGRAM@; else pggit=git-pggit; fi
"$pggit" hooks run @HOOK@ "$@" </dev/null 2>/dev/null || :
unset pggit
# <<< git pggit hooks <<<
