# >>> git pggit hooks: these lines are written and removed by 'git pggit hooks' >>>
if [ -x @PROGRAM@ ]; then pggit=@PROGRAM@; else pggit=git-pggit; fi
pggit_input=$(cat)
"$pggit" hooks run @HOOK@ "$@" 2>/dev/null <<PGGIT_INPUT || :
$pggit_input
PGGIT_INPUT
# The rest of the hook reads the same input again.
exec <<PGGIT_INPUT
$pggit_input
PGGIT_INPUT
unset pggit pggit_input
# <<< git pggit hooks <<<
